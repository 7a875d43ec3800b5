"""The science in plain PyTorch: data, augmentation, ResNet-18, training, saliency, methods, prediction.

Nothing here imports Ray; every function can be called in a notebook.
"""
