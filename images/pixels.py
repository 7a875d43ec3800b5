"""One file to one square image of the dataset."""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from salun_grid.images.dicom import read_dicom
from salun_grid.images.pictures import read_picture
from salun_grid.images.reading import Broken, Reading, has_preamble
from salun_grid.records.errors import InputError

MAX_REASON = 160  # characters of a library's message


@dataclass(frozen=True, slots=True)
class Pixels:
    """A read image: uint8 of `Reading.shape`, whether it has colour, and the highest value of 16-bit grey, else 0."""

    array: np.ndarray
    coloured: bool
    peak: float = 0


def read_pixels(path: Path, reading: Reading) -> Pixels:
    """The image in `path`, whatever its ending. Raises Broken with the reason if it cannot be read."""
    try:
        if not path.is_file():
            raise Broken("there is no such file")
        with path.open("rb") as file:
            if has_preamble(file):
                image, peak = read_dicom(path, file, reading), 0.0
            else:
                image, peak = read_picture(path, file, reading)
        array = np.asarray(fitted(image, reading))
    except (Broken, InputError):
        raise
    except MemoryError:
        raise Broken("it does not fit in memory") from None
    except Exception as error:  # the file may be anything
        reason = " ".join(str(error).split())[:MAX_REASON]
        raise Broken(reason or type(error).__name__) from None
    return Pixels(array, array.ndim == 3 and bool((array != array[..., :1]).any()), peak)


def fitted(image: Image.Image, reading: Reading) -> Image.Image:
    """A square image in mode L or RGB, by bicubic interpolation."""
    image = image.convert("L" if reading.grey else "RGB")
    size, cubic = (reading.size, reading.size), Image.Resampling.BICUBIC
    if reading.fit == "pad":
        return ImageOps.pad(image, size, cubic, color="black")
    if reading.fit == "crop":
        return ImageOps.fit(image, size, cubic)
    return image.resize(size, cubic)


def digest_of(pixels: bytes) -> bytes:
    """16 bytes that are equal for equal pixels."""
    return blake2b(pixels, digest_size=16).digest()
