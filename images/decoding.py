"""Reading of many images by several threads, in bounded memory: the pixels go to a file, row by row.

Threads, because Pillow and numpy release the interpreter lock while they decode and scale.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO

from salun_grid.images.entries import Entry
from salun_grid.images.pixels import Pixels, digest_of, read_pixels
from salun_grid.images.reading import Broken, Reading
from salun_grid.records.errors import InputError

CHUNK = 256  # images in memory at a time
MAX_WORKERS = 8  # each holds one decoded image at its own size


@dataclass
class Decoded:
    """What is known of the images whose pixels are in `rows`, in their order; and the broken ones with the reason."""

    rows: IO[bytes]
    reading: Reading
    entries: list[Entry] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    num_coloured: int = 0
    num_deep: int = 0
    peak: float = 0

    def add(self, entry: Entry, pixels: Pixels) -> None:
        content = pixels.array.tobytes()
        self.rows.write(content)
        self.entries.append(entry)
        self.digests.append(digest_of(content))
        self.num_coloured += pixels.coloured
        self.num_deep += pixels.peak > 0
        self.peak = max(self.peak, pixels.peak)


def decode(
    entries: tuple[Entry, ...],
    rows: IO[bytes],
    reading: Reading,
    skip_broken: bool,
    workers: int,
    advance: Callable[[int], object] = lambda count: None,
) -> Decoded:
    """Read the images into `rows` in their order. `advance` is called with the number of images read since the last.

    Raises InputError, naming the file, for the first broken one, unless `skip_broken`, and where none can be read.
    """
    found = Decoded(rows, reading)
    with ThreadPoolExecutor(workers) as pool:
        for chunk in chunks_of(entries):
            for entry, pixels in zip(chunk, pool.map(lambda entry: attempt(entry, reading), chunk), strict=True):
                if isinstance(pixels, Pixels):
                    found.add(entry, pixels)
                elif skip_broken:
                    found.broken[entry.id] = pixels
                else:
                    raise InputError(
                        f"cannot read {entry.path}: {pixels}; replace it, or pass --skip-broken to leave out and count "
                        "such files."
                    )
            advance(len(chunk))
    if not found.entries:
        raise InputError(
            f"none of the {len(entries):,} images can be read; {entries[0].path}: {found.broken[entries[0].id]}."
        )
    return found


def attempt(entry: Entry, reading: Reading) -> Pixels | str:
    """The pixels, or the reason why the file is broken."""
    try:
        return read_pixels(entry.path, reading)
    except Broken as error:
        return str(error)


def chunks_of(entries: tuple[Entry, ...]) -> Iterator[tuple[Entry, ...]]:
    return (entries[i : i + CHUNK] for i in range(0, len(entries), CHUNK))


def default_workers() -> int:
    """One thread per CPU that this process may use, at most MAX_WORKERS."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(MAX_WORKERS, len(affinity(0)) if affinity else os.cpu_count() or 1)
