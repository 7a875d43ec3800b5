"""Prediction of every image, in eval mode and without augmentation."""

import numpy as np
import torch
from torch import Tensor, nn

from salun_grid.trainables import augmentation
from salun_grid.trainables.data import SPLITS
from salun_grid.trainables.protocol import AugmentationConfig
from salun_grid.trainables.resident import ResidentData

BATCH_SIZE = 512


@torch.inference_mode()
def predict(model: nn.Module, data: ResidentData) -> dict[str, np.ndarray]:
    """float32 logits (N, num_classes) of each split, in the dataset's order."""
    model.eval()
    return {split: logits_of(model, data.images[split]).float().cpu().numpy() for split in SPLITS}


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """The logits, float (N, num_classes), of uint8 images (N, H, W, C) without augmentation, in the model's mode."""
    config = AugmentationConfig()
    return torch.cat([model(augmentation.apply(part, None, config)) for part in images.split(BATCH_SIZE)])
