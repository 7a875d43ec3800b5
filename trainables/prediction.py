"""Logits of every image, in eval mode and without augmentation."""

import numpy as np
import torch
from torch import nn

from salun_grid.trainables import augmentation
from salun_grid.trainables.data import SPLITS
from salun_grid.trainables.protocol import AugmentationConfig
from salun_grid.trainables.resident import ResidentData

BATCH_SIZE = 512


@torch.inference_mode()
def predict(model: nn.Module, data: ResidentData) -> dict[str, np.ndarray]:
    """float32 logits (N, num_classes) of each split, in the dataset's order."""
    model.eval()
    config = AugmentationConfig()
    out = {}
    for split in SPLITS:
        parts = [model(augmentation.apply(part, None, config)) for part in data.images[split].split(BATCH_SIZE)]
        out[split] = torch.cat(parts).float().cpu().numpy()
    return out
