"""DICOM files made for a test, with a patient's name and private tags that nothing may copy."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

NAME, SECRET = "Doe^Jane", "secret of the scanner"


def write_dicom(path: Path, pixels: np.ndarray, kind: str = "MONOCHROME2", **tags: Any) -> Path:
    """A file of `pixels` (H, W) or (H, W, 3); `tags` are set last, and None removes one."""
    found = Dataset()
    found.SOPClassUID, found.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    found.PatientName, found.PatientID, found.PatientBirthDate = NAME, "MRN 4711", "19500101"
    block = found.private_block(0x0009, "SOME VENDOR", create=True)
    block.add_new(0x01, "LO", SECRET)
    found.Rows, found.Columns = pixels.shape[:2]
    found.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    found.PhotometricInterpretation = kind
    if pixels.ndim == 3:
        found.PlanarConfiguration = 0
    found.BitsAllocated = found.BitsStored = 8 * pixels.dtype.itemsize
    found.HighBit = found.BitsStored - 1
    found.PixelRepresentation = int(pixels.dtype.kind == "i")
    found.PixelData = pixels.tobytes()
    for name, value in tags.items():
        if value is None:
            delattr(found, name)
        else:
            setattr(found, name, value)
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    found.save_as(path, enforce_file_format=True)
    return path
