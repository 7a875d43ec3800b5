"""DICOM files as 8-bit images, through the optional package pydicom. Only the tags in TAGS are read.

Grey values pass the standard's stages (PS3.3, C.11): rescale, window, photometric interpretation.
"""

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from salun_grid.images.reading import Broken, Range, Reading, scaled
from salun_grid.records.errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

# What the pixels need. No name, date, number or private tag is among them.
TAGS: list[Any] = [
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept"),
    *("ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData"),
]
FAR = 1e9  # outside of any window


def read_dicom(path: Path, file: IO[bytes], reading: Reading) -> Image.Image:
    """The image in mode L or RGB.

    Raises Broken for a file without exactly one image, or in an encoding that pydicom's plug-ins lack, and InputError
    without pydicom.
    """
    try:
        from pydicom import dcmread
    except ModuleNotFoundError:
        raise InputError(
            f"{path} is a DICOM file; to read it, install the extra `dicom`: pip install '.[dicom]' in a checkout of "
            "salun-grid."
        ) from None
    found = dcmread(file, specific_tags=TAGS)
    if (frames := int(found.get("NumberOfFrames") or 1)) > 1:
        raise Broken(f"it has {frames} frames; save each image as a file of its own")
    if not any(name in found for name in TAGS[-3:]):
        raise Broken("it is a DICOM file without pixels")
    kind = found.PhotometricInterpretation
    if kind in ("MONOCHROME1", "MONOCHROME2"):
        return Image.fromarray(grey_image(found, reading.grey_range))
    return Image.fromarray(colour_image(found))


def grey_image(found: "Dataset", grey_range: Range | None) -> np.ndarray:
    """Uint8 (H, W), bright where the value is high, as MONOCHROME2; MONOCHROME1 is inverted."""
    from pydicom.pixels import apply_modality_lut

    values = apply_modality_lut(found.pixel_array, found)
    if grey_range is not None:
        pixels = scaled(values, grey_range)
    elif found.get("WindowWidth") is not None and found.get("WindowCenter") is not None:
        pixels = windowed(values, found)
    elif found.get("VOILUTSequence"):
        pixels = looked_up(values, found)
    elif values.dtype == np.uint8:
        pixels = values
    else:
        pixels = scaled(values, (float(values.min()), float(values.max())))
    return 255 - pixels if found.PhotometricInterpretation == "MONOCHROME1" else pixels


def windowed(values: np.ndarray, found: "Dataset") -> np.ndarray:
    """The file's first window and its function; values below it become 0 and values above it 255."""
    from pydicom.pixels import apply_windowing

    with np.errstate(over="ignore"):  # of the sigmoid, far below the window
        ends = apply_windowing(np.array([-FAR, FAR]), found)
        return scaled(apply_windowing(values, found), (float(ends[0]), float(ends[1])))


def looked_up(values: np.ndarray, found: "Dataset") -> np.ndarray:
    """The file's first table of values of interest, over all bits of its output."""
    from pydicom.pixels import apply_voi

    bits = int(found.VOILUTSequence[0].LUTDescriptor[2])
    return scaled(apply_voi(values, found), (0, 2**bits - 1))


def colour_image(found: "Dataset") -> np.ndarray:
    """Uint8 (H, W, 3). pydicom converts YBR to RGB itself."""
    from pydicom.pixels import apply_color_lut

    values = found.pixel_array
    if found.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, found)
    if values.ndim != 3 or values.shape[2] != 3:
        raise Broken(f"its colours are stored as {found.PhotometricInterpretation}, which is not supported")
    return values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)
