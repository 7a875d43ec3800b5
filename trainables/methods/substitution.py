"""Other images in the place of D_f's own: for methods that train on adversarial images or on learned noise."""

import torch
from torch import Tensor

from salun_grid.trainables.passes import Batch


def substitute(batch: Batch, images: Tensor, below: int) -> Batch:
    """`batch` itself, with `images[p % N]`, float (N, 3, H, W), at each of its places p that is below `below`.

    The batch's other images stay, as floats in [0, 1]. Call it before anything reads `batch.logits`.
    """
    own, others = batch.images / 255, images[batch.places % len(images)]
    batch.images = torch.where((batch.places < below)[:, None, None, None], others, own)
    return batch
