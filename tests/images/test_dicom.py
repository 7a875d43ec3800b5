"""DICOM files as 8-bit images, against the formulas of the standard (PS3.3, C.11.2.1.2)."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless

from salun_grid.images.pixels import read_pixels
from salun_grid.images.reading import Broken, Reading
from tests.support.dicom_files import NAME, SECRET, write_dicom
from tests.support.pictures import noise, salun_grid_data

SIZE = 16
GREY = Reading(SIZE, grey=True)
STORED = noise(0, SIZE, SIZE, high=4096, dtype=np.int16)
UNITS = STORED * 2.0 - 1024  # Hounsfield units, with the slope and intercept below
RESCALE = {"RescaleSlope": 2, "RescaleIntercept": -1024}


def linear(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    return 255 * np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def grey(folder: Path, pixels: np.ndarray, reading: Reading = GREY, kind: str = "MONOCHROME2", **tags: Any):
    return read_pixels(write_dicom(folder / "a.dcm", pixels, kind, **tags), reading).array


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_rescale_and_window(dtype: type, tmp_path: Path) -> None:
    found = grey(tmp_path, STORED.astype(dtype), **RESCALE, WindowCenter=40, WindowWidth=400)
    assert 0 < (found == 0).mean() < 1 and 0 < (found == 255).mean() < 1
    np.testing.assert_allclose(found, linear(UNITS, 40, 400), atol=0.51)


def test_negative_stored_values(tmp_path: Path) -> None:
    found = grey(tmp_path, STORED - 2000, WindowCenter=-100, WindowWidth=1000)
    np.testing.assert_allclose(found, linear(STORED - 2000.0, -100, 1000), atol=0.51)


def test_a_falling_slope(tmp_path: Path) -> None:
    found = grey(tmp_path, STORED, RescaleSlope=-1, RescaleIntercept=500, WindowCenter=40, WindowWidth=400)
    np.testing.assert_allclose(found, linear(500.0 - STORED, 40, 400), atol=0.51)


def test_the_first_of_several_windows(tmp_path: Path) -> None:
    both = grey(tmp_path, STORED, WindowCenter=[2000, 40], WindowWidth=[500, 400])
    np.testing.assert_array_equal(both, grey(tmp_path, STORED, WindowCenter=2000, WindowWidth=500))


def test_the_functions_of_a_window(tmp_path: Path) -> None:
    tags = {"WindowCenter": 2000, "WindowWidth": 900}
    exact = grey(tmp_path, STORED, **tags, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_allclose(exact, 255 * np.clip((STORED - 2000) / 900 + 0.5, 0, 1), atol=0.51)
    sigmoid = grey(tmp_path, STORED, **tags, VOILUTFunction="SIGMOID")
    np.testing.assert_allclose(sigmoid, 255 / (1 + np.exp(-4 * (STORED - 2000.0) / 900)), atol=0.51)


def test_a_table_of_values_of_interest(tmp_path: Path) -> None:
    item = Dataset()
    item.LUTDescriptor = [256, 0, 16]
    item.LUTData = (257 * np.arange(256)[::-1]).astype("<u2").tobytes()
    found = grey(tmp_path, STORED.astype(np.uint16) >> 4, VOILUTSequence=[item])
    np.testing.assert_array_equal(found, 255 - (STORED >> 4))


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    window = {"WindowCenter": 40, "WindowWidth": 400}
    upright = grey(tmp_path, STORED, **RESCALE, **window)
    np.testing.assert_array_equal(grey(tmp_path, STORED, kind="MONOCHROME1", **RESCALE, **window), 255 - upright)


def test_without_a_window_the_own_range_is_used(tmp_path: Path) -> None:
    low, high = STORED.min(), STORED.max()
    expected = (STORED - float(low)) / (high - low) * 255
    np.testing.assert_allclose(grey(tmp_path, STORED), expected, atol=0.51)
    np.testing.assert_array_equal(grey(tmp_path, np.full((SIZE, SIZE), 7, np.int16)), 0)


def test_8_bits_without_a_window_are_unchanged(tmp_path: Path) -> None:
    pixels = noise(1, SIZE, SIZE, high=100)
    np.testing.assert_array_equal(grey(tmp_path, pixels), pixels)


def test_the_grey_range_replaces_the_window(tmp_path: Path) -> None:
    reading = Reading(SIZE, grey=True, grey_range=(-160, 240))
    found = grey(tmp_path, STORED, reading, **RESCALE, WindowCenter=0, WindowWidth=10)
    np.testing.assert_allclose(found, 255 * np.clip((UNITS + 160) / 400, 0, 1), atol=0.51)


def test_colours(tmp_path: Path) -> None:
    pixels = noise(2, SIZE, SIZE, 3)
    path = write_dicom(tmp_path / "a.dcm", pixels, "RGB")
    np.testing.assert_array_equal(read_pixels(path, Reading(SIZE)).array, pixels)
    flat = np.full((SIZE, SIZE, 3), (76, 85, 255), np.uint8)  # red
    path = write_dicom(tmp_path / "b.dcm", flat, "YBR_FULL")
    np.testing.assert_allclose(read_pixels(path, Reading(SIZE)).array[0, 0], (254, 0, 0), atol=1)


def test_a_palette(tmp_path: Path) -> None:
    index, palette = noise(3, SIZE, SIZE), noise(4, 256, 3)
    tags: dict[str, Any] = {}
    for i, name in enumerate(("Red", "Green", "Blue")):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = (palette[:, i].astype("<u2") * 257).tobytes()
    path = write_dicom(tmp_path / "a.dcm", index, "PALETTE COLOR", **tags)
    np.testing.assert_array_equal(read_pixels(path, Reading(SIZE)).array, palette[index])


def test_several_frames(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="it has 5 frames"):
        grey(tmp_path, STORED, NumberOfFrames=5)


def test_without_pixels(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="DICOM file without pixels"):
        grey(tmp_path, STORED, PixelData=None)


@pytest.mark.parametrize("missing", ["Rows", "PhotometricInterpretation", "BitsStored"])
def test_without_a_tag_that_the_pixels_need(missing: str, tmp_path: Path) -> None:
    with pytest.raises(Broken, match=missing.replace("Bits", "Bits ?")):
        grey(tmp_path, STORED, **{missing: None})


def test_an_encoding_that_no_plug_in_decodes(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", STORED)
    found = dcmread(path)
    found.PixelData = encapsulate([b"\xff\xd8\xff\xf7" + bytes(20)])
    found["PixelData"].is_undefined_length = True
    found.file_meta.TransferSyntaxUID = JPEGLSLossless
    found.save_as(path)
    with pytest.raises(Broken, match=r"JPEG-LS"):
        read_pixels(path, GREY)


def test_half_a_file(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", STORED)
    content = path.read_bytes()
    for end in range(140, len(content) - 1, 37):
        path.write_bytes(content[:end])
        with pytest.raises(Broken, match=r"\w"):
            read_pixels(path, GREY)


def write_patients(root: Path) -> Path:
    for i in range(12):
        name = f"IM{i:03}{'' if i % 3 else '.dcm'}"  # many scanners write names without an ending
        write_dicom(root / ("ill" if i % 2 else "well") / name, STORED + i, WindowCenter=900, WindowWidth=900)
    return root


def test_nothing_but_pixels_is_copied(tmp_path: Path) -> None:
    done = salun_grid_data("import", write_patients(tmp_path / "scans"), "--out", tmp_path / "a.npz", "--grey")
    assert done.exit_code == 0 and "images         12 from" in done.stdout, done.output
    scan, content = (path.read_bytes() for path in (tmp_path / "scans" / "ill" / "IM001", tmp_path / "a.npz"))
    for text in (NAME, SECRET, "MRN 4711", "19500101", "SOME VENDOR"):
        assert text.encode() in scan
        for encoding in ("utf-8", "utf-32-le"):
            assert text.encode(encoding) not in content


@pytest.mark.parametrize("options", [(), ("--skip-broken",)])
def test_without_pydicom_the_extra_is_named(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    done = salun_grid_data("import", write_patients(tmp_path / "scans"), "--out", tmp_path / "a.npz", *options)
    assert done.exit_code == 2 and "pip install '.[dicom]'" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["scans"]


def test_pictures_alone_do_not_import_pydicom(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import salun_grid.images.dicom as it; from salun_grid.images.pixels "
        "import *\ntry: read_pixels(Path('none'), None)\nexcept it.Broken: print('pydicom' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
