"""Every mode of picture as 8 bits, against a restatement with numpy; and every picture that is broken."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from salun_grid.images.pixels import Pixels, read_pixels
from salun_grid.images.reading import Broken, Reading
from salun_grid.records.errors import InputError
from tests.support.pictures import noise, write_picture

SIZE = 16
OWN_SIZE = Reading(SIZE)  # nothing is resampled
GREY = noise(0, SIZE, SIZE)
COLOUR = noise(1, SIZE, SIZE, 3)
ALPHA = noise(2, SIZE, SIZE)
DEEP = noise(3, SIZE, SIZE, high=65536, dtype=np.uint16)


def stacked(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def over_black(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return values * (alpha / 255.0)[..., None]


def palette_image(pixels: np.ndarray, palette: np.ndarray) -> Image.Image:
    image = Image.fromarray(pixels, "P")
    image.putpalette(palette.tobytes())
    return image


PALETTE = noise(4, 256, 3)
INDEXED = palette_image(GREY, PALETTE)
CMYK = noise(5, SIZE, SIZE, 4)


def cmyk_as_rgb() -> np.ndarray:
    return (255.0 - CMYK[..., :3]) * (255.0 - CMYK[..., 3:]) / 255


def wide_png(pixels: np.ndarray) -> bytes:
    """A PNG with 16 bits per channel, which Pillow reads but does not write."""
    kind = {2: 0, 3: 2}[pixels.ndim]

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


# Name: the picture, the endings that can hold it, and the RGB values expected of it.
MODES = {
    "bilevel": (Image.fromarray(GREY > 127), "png tif bmp", stacked(255 * (GREY > 127))),
    "grey": (Image.fromarray(GREY), "png tif bmp", stacked(GREY)),
    "colour": (Image.fromarray(COLOUR), "png tif bmp", COLOUR),
    "grey with alpha": (Image.fromarray(np.dstack([GREY, ALPHA]), "LA"), "png tif", over_black(stacked(GREY), ALPHA)),
    "colour with alpha": (Image.fromarray(np.dstack([COLOUR, ALPHA])), "png tif", over_black(COLOUR, ALPHA)),
    "palette": (INDEXED, "png tif bmp", PALETTE[GREY]),
    "CMYK": (Image.fromarray(CMYK, "CMYK"), "tif", cmyk_as_rgb()),
    "16-bit grey": (Image.fromarray(DEEP), "png tif", stacked(DEEP / 257.0)),
}


@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
@pytest.mark.parametrize(("name", "ending"), [(name, e) for name, case in MODES.items() for e in case[1].split()])
def test_a_mode(name: str, ending: str, tmp_path: Path) -> None:
    image, _, expected = MODES[name]
    image.save(path := tmp_path / f"a.{ending}")
    found = read_pixels(path, OWN_SIZE)
    assert found.array.dtype == np.uint8 and found.array.shape == (SIZE, SIZE, 3)
    np.testing.assert_allclose(found.array, expected, atol=0.51 if "alpha" not in name and name != "CMYK" else 1.01)
    assert found.coloured == bool((np.ptp(expected, axis=2) > 0).any())
    assert found.peak == (DEEP.max() if name == "16-bit grey" else 0)


@pytest.mark.parametrize("name", MODES)
def test_as_one_channel_it_has_the_usual_weights_of_the_colours(name: str, tmp_path: Path) -> None:
    image, ending, _ = MODES[name]
    image.save(path := tmp_path / f"a.{ending.split()[0]}")
    colour, grey = (read_pixels(path, Reading(SIZE, grey=grey)) for grey in (False, True))
    assert grey.array.shape == (SIZE, SIZE) and not grey.coloured
    np.testing.assert_allclose(grey.array, colour.array @ [0.299, 0.587, 0.114], atol=1.01)


@pytest.mark.parametrize("kind", ["grey", "palette"])
def test_a_transparent_value_is_black(kind: str, tmp_path: Path) -> None:
    image, _, opaque = MODES[kind]
    image.save(path := tmp_path / "a.png", transparency=int(GREY[0, 0]))
    expected = np.where((GREY[0, 0] == GREY)[..., None], 0, opaque)
    np.testing.assert_array_equal(read_pixels(path, OWN_SIZE).array, expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bits_in_either_byte_order(order: str, tmp_path: Path) -> None:
    image = Image.fromarray(DEEP.astype(f"{order}u2"))
    image.save(path := tmp_path / "a.tif")
    np.testing.assert_allclose(read_pixels(path, OWN_SIZE).array, stacked(DEEP / 257.0), atol=0.51)


def test_16_bits_per_colour_keep_the_high_byte(tmp_path: Path) -> None:
    deep = noise(6, SIZE, SIZE, 3, high=65536, dtype=np.uint16)
    (path := tmp_path / "a.png").write_bytes(wide_png(deep))
    np.testing.assert_array_equal(read_pixels(path, OWN_SIZE).array, deep >> 8)


@pytest.mark.parametrize("kind", ["i4", "f4", "u2"])
def test_the_grey_range_becomes_black_and_white(kind: str, tmp_path: Path) -> None:
    values = noise(7, SIZE, SIZE, high=5000).astype(kind) if kind == "u2" else DEEP.astype(kind) - 1000
    Image.fromarray(values).save(path := tmp_path / "a.tif")
    expected = np.clip((values.astype(float) - 100) / 3900, 0, 1) * 255
    found = read_pixels(path, Reading(SIZE, grey_range=(100, 4000)))
    np.testing.assert_allclose(found.array, stacked(expected), atol=0.51)
    assert found.peak == 0


@pytest.mark.parametrize("kind", ["i4", "f4"])
def test_32_bits_need_a_range(kind: str, tmp_path: Path) -> None:
    Image.fromarray(DEEP.astype(kind)).save(path := tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif has 32-bit grey values, from .* pass --grey-range LOW HIGH"):
        read_pixels(path, OWN_SIZE)


def test_values_that_are_not_numbers_are_broken(tmp_path: Path) -> None:
    Image.fromarray(np.where(GREY > 100, np.nan, GREY).astype("f4")).save(path := tmp_path / "a.tif")
    with pytest.raises(Broken, match="not finite"):
        read_pixels(path, Reading(SIZE, grey_range=(0, 1)))


# What the EXIF orientation asks of a picture as stored.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_exif_rotation(orientation: int, ending: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    plain, turned = tmp_path / f"plain.{ending}", tmp_path / f"turned.{ending}"
    Image.fromarray(COLOUR).save(plain)
    Image.fromarray(COLOUR).save(turned, exif=exif)
    stored, found = (read_pixels(path, OWN_SIZE).array for path in (plain, turned))
    np.testing.assert_array_equal(found, UPRIGHT[orientation](stored))


def test_a_cmyk_jpeg(tmp_path: Path) -> None:
    flat = np.broadcast_to(np.array([10, 200, 60, 30], np.uint8), (SIZE, SIZE, 4))
    Image.merge("CMYK", [Image.fromarray(flat[..., i].copy()) for i in range(4)]).save(path := tmp_path / "a.jpg")
    expected = (255.0 - flat[..., :3]) * (255.0 - flat[..., 3:]) / 255
    np.testing.assert_allclose(read_pixels(path, OWN_SIZE).array, expected, atol=4)


def test_a_large_jpeg_is_as_if_it_were_decoded_whole(tmp_path: Path) -> None:
    """A JPEG is decoded at a fraction of its size; 64 px of it hardly differ."""
    rows, columns = np.mgrid[:700, :700]
    waves = [128 + 100 * np.sin(rows / a) * np.cos(columns / b) for a, b in ((30, 50), (70, 20), (40, 90))]
    image = Image.fromarray(np.dstack(waves).astype(np.uint8))
    image.save(path := tmp_path / "a.jpg", quality=95)
    whole = image.resize((64, 64), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(read_pixels(path, Reading(64)).array, np.asarray(whole), atol=6)


def test_the_first_view_of_a_camera_s_two(tmp_path: Path) -> None:
    first, second = Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)
    first.save(plain := tmp_path / "a.jpg")
    first.save(double := tmp_path / "b.jpg", format="MPO", save_all=True, append_images=[second])
    np.testing.assert_array_equal(read_pixels(double, OWN_SIZE).array, read_pixels(plain, OWN_SIZE).array)


def test_the_content_counts_and_not_the_ending(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png").rename(tmp_path / "a.bmp")
    np.testing.assert_array_equal(read_pixels(path, OWN_SIZE).array, noise(0, SIZE, SIZE, 3))


@pytest.mark.parametrize("shape", [(8, 32), (32, 8)])
@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_the_ways_to_a_square(fit: str, shape: tuple[int, int], tmp_path: Path) -> None:
    """A quarter of the length at each end is dark grey, the middle half is light grey."""
    values = np.full(shape, 200, np.uint8)
    long = values if shape[0] == 32 else values.T
    long[:8] = long[-8:] = 60
    Image.fromarray(values).save(path := tmp_path / "a.png")
    found = read_pixels(path, Reading(SIZE, grey=True, fit=fit)).array
    along = found if shape[0] == 32 else found.T
    if fit == "pad":
        assert (along[:, :6] == 0).all() and (along[:, 10:] == 0).all()
        assert (along[7:9, 6:10] == 200).all() and (along[[0, 15], 6:10] == 60).all()
    if fit == "crop":
        assert (along == 200).all()
    if fit == "stretch":
        assert (along[7:9] == 200).all() and (along[[0, 15]] == 60).all()


# --- broken pictures --------------------------------------------------------------------------------------


def encoded(kind: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(COLOUR).save(content, kind)
    return content.getvalue()


WHOLE = {kind: encoded(kind) for kind in ("PNG", "JPEG", "BMP", "TIFF")}


@pytest.mark.parametrize("kind", WHOLE)
def test_half_a_picture_is_broken(kind: str, tmp_path: Path) -> None:
    (path := tmp_path / "a.png").write_bytes(WHOLE[kind][: len(WHOLE[kind]) // 2])
    with pytest.raises(Broken, match=r"\w"):
        read_pixels(path, OWN_SIZE)


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 200, b"GIF89a" + bytes(100)])
def test_what_is_no_picture(content: bytes, tmp_path: Path) -> None:
    (path := tmp_path / "a.png").write_bytes(content)
    with pytest.raises(Broken, match="not a JPEG, PNG, TIFF, BMP or DICOM file"):
        read_pixels(path, OWN_SIZE)


def test_no_file_and_no_regular_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path, Path("/dev/zero"), tmp_path / "a\0b"):
        with pytest.raises(Broken, match="no such file"):
            read_pixels(path, OWN_SIZE)


def test_a_format_that_is_not_asked_for_is_not_decoded(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(path := tmp_path / "a.png", format="GIF")
    with pytest.raises(Broken, match="not a JPEG"):
        read_pixels(path, OWN_SIZE)


def test_several_pages(tmp_path: Path) -> None:
    page = Image.fromarray(COLOUR)
    page.save(path := tmp_path / "a.tif", save_all=True, append_images=[page, page])
    with pytest.raises(Broken, match="it has 3 pages"):
        read_pixels(path, OWN_SIZE)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 255)
    with pytest.raises(Broken, match="16 × 16 pixels; at most 255"):
        read_pixels(path, OWN_SIZE)


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    kind=st.sampled_from(list(WHOLE)),
    changes=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=4)), max_size=5),
    end=st.integers(0, 900),
)
def test_any_bytes_are_a_picture_or_broken(
    kind: str, changes: list[tuple[int, bytes]], end: int, tmp_path: Path
) -> None:
    content = bytearray(WHOLE[kind])
    for at, change in changes:
        content[at : at + len(change)] = change
    (path := tmp_path / "a.png").write_bytes(bytes(content[: end or None]))
    try:
        found = read_pixels(path, Reading(8, grey_range=(0, 9)))
    except Broken as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert isinstance(found, Pixels) and found.array.shape == (8, 8, 3)
