"""Pictures that Pillow decodes (JPEG, PNG, TIFF, BMP) as 8-bit grey or colour images."""

from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Imported here, since Pillow's own import on first use is no work for several threads.
from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin  # noqa: F401  isort: skip

from salun_grid.images.reading import Broken, Range, Reading, scaled
from salun_grid.records.errors import InputError

FORMATS = ("BMP", "JPEG", "PNG", "TIFF")
WHOLE_RANGE: Range = (0, 65535)
SEVERAL_PIXELS = 2  # of the decoded image per pixel of the result, so that scaling within a JPEG is not seen


def read_picture(path: Path, file: IO[bytes], reading: Reading) -> tuple[Image.Image, float]:
    """The upright image in mode L or RGB; and its highest value if it is deep grey in WHOLE_RANGE, else 0.

    Transparent pixels are composited over black. Raises Broken for a file that is not one whole picture, and
    InputError for one that needs `grey_range`.
    """
    try:
        image: Image.Image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise Broken("it is not a JPEG, PNG, TIFF, BMP or DICOM file, or its head is damaged") from None
    if image.width * image.height > (limit := Image.MAX_IMAGE_PIXELS or 0):
        raise Broken(f"it has {image.width} × {image.height} pixels; at most {limit:,} are supported")
    if image.format == "TIFF" and (pages := getattr(image, "n_frames", 1)) > 1:
        raise Broken(f"it has {pages} pages; save each image as a file of its own")
    image.draft(None, (SEVERAL_PIXELS * reading.size,) * 2)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith(("I", "F")):
        return deep_grey(path, image, reading)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return image.convert("L" if image.mode in ("1", "L") else "RGB"), 0


def deep_grey(path: Path, image: Image.Image, reading: Reading) -> tuple[Image.Image, float]:
    """A 16-bit, 32-bit or floating-point greyscale image. Only 16 bits have a default range."""
    values = np.asarray(image)
    if reading.grey_range is not None:
        return Image.fromarray(scaled(values, reading.grey_range)), 0
    if not image.mode.startswith("I;16"):
        raise InputError(
            f"{path} has 32-bit grey values, from {values.min():g} to {values.max():g}; pass --grey-range LOW HIGH, "
            "the values that become black and white in every image."
        )
    return Image.fromarray(scaled(values, WHOLE_RANGE)), float(values.max())
