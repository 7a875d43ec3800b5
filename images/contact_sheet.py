"""A contact sheet: a row of images per class, by split, as one PNG."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from salun_grid.records.npz import SPLITS
from salun_grid.records.text import printable

# Columns per split, and the most classes that are drawn.
COLUMNS = {"train": 6, "val": 3, "test": 3}
MAX_ROWS = 40
TILE, GAP, LABEL, LINE, FONT_SIZE = 64, 4, 160, 18, 12  # pixels
INK, PAPER, EMPTY = (20, 20, 20), (255, 255, 255), (235, 235, 235)

# By split and class: some images, uint8 (S, S, C).
Examples = Mapping[tuple[str, int], Sequence[np.ndarray]]


def examples(images: np.ndarray, labels: np.ndarray, label: int, count: int) -> list[np.ndarray]:
    """Up to `count` images of a class, evenly spaced in the order of the file, copied."""
    places = np.flatnonzero(labels == label)
    chosen = places[np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)]
    return [images[i].copy() for i in chosen]


def sheet(found: Examples, names: Sequence[str]) -> bytes:
    """The PNG of the first MAX_ROWS classes; a place without an image is grey."""
    names = names[:MAX_ROWS]
    step = TILE + GAP
    width = LABEL + sum(COLUMNS.values()) * step + (len(SPLITS) - 1) * GAP * 2 + GAP
    page = Image.new("RGB", (width, LINE + len(names) * step + GAP), PAPER)
    pen, font = ImageDraw.Draw(page), default_font()
    left = LABEL
    for split in SPLITS:
        pen.text((left, 2), split, INK, font)
        for row, _ in enumerate(names):
            shown = found.get((split, row), ())
            for column in range(COLUMNS[split]):
                at = (left + column * step, LINE + row * step)
                page.paste(tile(shown[column]) if column < len(shown) else EMPTY, (*at, at[0] + TILE, at[1] + TILE))
        left += COLUMNS[split] * step + 2 * GAP
    for row, name in enumerate(names):
        pen.text((GAP, LINE + row * step + TILE // 2 - LINE // 2), clipped(printable(name), font), INK, font)
    content = io.BytesIO()
    page.save(content, "PNG")
    return content.getvalue()


def tile(image: np.ndarray) -> Image.Image:
    """An image (S, S, C) at TILE pixels: enlarged without smoothing, reduced with it."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    how = Image.Resampling.NEAREST if len(image) <= TILE else Image.Resampling.LANCZOS
    return picture.resize((TILE, TILE), how)


def default_font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and has more scripts than Pillow's own font."""
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), FONT_SIZE)


def clipped(text: str, font: ImageFont.FreeTypeFont) -> str:
    """`text`, cut where it is wider than the column of names."""
    if font.getlength(text) <= LABEL - 2 * GAP:
        return text
    while text and font.getlength(f"{text}…") > LABEL - 2 * GAP:
        text = text[:-1]
    return f"{text}…"
