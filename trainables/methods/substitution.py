"""Substitution of images in a batch, for methods that train on adversarial images or learned noise."""

import torch
from torch import Tensor

from salun_grid.trainables.passes import Batch


def substitute(batch: Batch, images: Tensor, below: int) -> Batch:
    """Replace the images of `batch` at places p < `below` by `images[p % N]`, float (N, 3, H, W), in place.

    The other images are kept, as floats in [0, 1]. Call it before `batch.logits` is first read.
    """
    own, others = batch.images / 255, images[batch.places % len(images)]
    batch.images = torch.where((batch.places < below)[:, None, None, None], others, own)
    return batch
