"""A local or remote folder with atomic writes."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from salun_grid.records import storage
from salun_grid.records.errors import naming


class Folder:
    """Files under one address (see `records.storage`); creating a Folder writes nothing.

    Raises InputError for an invalid address.
    """

    def __init__(self, out: str) -> None:
        self.out = out
        self.place = storage.find(out)

    def address(self, *parts: str) -> str:
        """The path or address of a file in the folder, for a user or another program."""
        return storage.address_in(self.out, *parts)

    def publish(self, content: bytes, *parts: str) -> None:
        """Write a file atomically. Leaves no file if it raises OSError."""
        if storage.is_remote(self.out):
            self._upload(content, *parts)
        else:
            write_whole(Path(self.address(*parts)), content)

    def _upload(self, content: bytes, *parts: str) -> None:
        """Upload without `with`: closing the stream publishes the object, so a failed write must leave it open."""
        stream = self.place.files.open_output_stream(self.place.inside(*parts))
        stream.write(content)
        stream.close()

    def read(self, *parts: str) -> bytes:
        """The content of a file. Raises FileNotFoundError if there is none, OSError if it cannot be read."""
        with self.place.files.open_input_file(self.place.inside(*parts)) as file:
            return file.read()

    def exists(self, *parts: str) -> bool:
        return self.place.files.get_file_info(self.place.inside(*parts)).is_file

    def drop(self, *parts: str) -> None:
        """Delete a file if it exists."""
        with suppress(FileNotFoundError):
            self.place.files.delete_file(self.place.inside(*parts))


def make_private(folder: Path) -> None:
    """Create a folder with mode 0700. An existing folder keeps its mode, since its owner may share it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def opened_whole(target: Path) -> Iterator[IO[bytes]]:
    """A local file to write: under a temporary name until the block ends, then synced to disk and renamed.

    Creates the folder if needed. Any error in the block leaves no file; an OSError names `target`.
    """
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    with naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise


def write_whole(target: Path, content: bytes) -> None:
    """Write a local file atomically, as `opened_whole` does."""
    with opened_whole(target) as file:
        file.write(content)
