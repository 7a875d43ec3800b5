"""How images are read: the settings of a reading, the error for a broken picture, and the scaling to 8 bits."""

from dataclasses import dataclass
from typing import IO

import numpy as np

Range = tuple[float, float]

FITS = ("pad", "crop", "stretch")


class Broken(ValueError):
    """A picture that cannot be read; the message is the reason, without the path."""


@dataclass(frozen=True)
class Reading:
    """What becomes of every image: `size` in pixels, one channel or three, and how it is made square.

    `grey_range` holds the values of deep grey images that become 0 and 255; None is the whole range of 16 bits, or in
    DICOM the file's own window.
    """

    size: int = 64
    grey: bool = False
    fit: str = "pad"
    grey_range: Range | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image in the file: (S, S), or (S, S, 3)."""
        return (self.size, self.size) if self.grey else (self.size, self.size, 3)


def has_preamble(file: IO[bytes]) -> bool:
    """Whether a file that is at its start is DICOM; leaves the file at its start."""
    head = file.read(132)
    file.seek(0)
    return head[128:] == b"DICM"


def scaled(values: np.ndarray, ends: Range) -> np.ndarray:
    """Numbers of any type (H, W) as uint8: the first of `ends` becomes 0, the second 255, others linear and clipped.

    `ends` may be in falling order, which inverts the image. Raises Broken for values that are not finite.
    """
    low, high = ends
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise Broken("it has values that are not finite numbers")
    if low == high:
        return np.zeros(values.shape, np.uint8)
    return np.rint(np.clip((values - low) * (255 / (high - low)), 0, 255)).astype(np.uint8)
