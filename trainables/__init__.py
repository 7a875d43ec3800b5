"""Training and unlearning in plain PyTorch: data, augmentation, networks, saliency, methods, probes, prediction.

Nothing here imports Ray; every function can be called in a notebook.
"""
