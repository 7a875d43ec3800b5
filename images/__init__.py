"""A user's own images: pictures and DICOM files to one `.npz` in MedMNIST's layout, split by patient. No torch."""
