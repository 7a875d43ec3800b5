"""A folder, local or in a bucket, whose files appear whole or not at all."""

import os
import uuid
from contextlib import suppress
from pathlib import Path

from salun_grid.records import storage
from salun_grid.records.errors import naming


class Folder:
    """Files under one address (see `records.storage`); creating a Folder writes nothing.

    Raises InputError for an address that cannot be used.
    """

    def __init__(self, out: str) -> None:
        self.out = out
        self.place = storage.find(out)

    def address(self, *parts: str) -> str:
        """The path or address of a file inside, for a person or for another program."""
        return storage.address_in(self.out, *parts)

    def publish(self, content: bytes, *parts: str) -> None:
        """Write a file so that a reader sees all of it or none. Raises OSError, and then there is none."""
        if storage.is_remote(self.out):
            self._upload(content, *parts)
        else:
            write_whole(Path(self.address(*parts)), content)

    def _upload(self, content: bytes, *parts: str) -> None:
        """An object appears when its stream is closed, so one whose write failed must not be: no `with` here."""
        stream = self.place.files.open_output_stream(self.place.inside(*parts))
        stream.write(content)
        stream.close()

    def read(self, *parts: str) -> bytes:
        """Raises FileNotFoundError where there is no such file, OSError where it cannot be read."""
        with self.place.files.open_input_file(self.place.inside(*parts)) as file:
            return file.read()

    def exists(self, *parts: str) -> bool:
        return self.place.files.get_file_info(self.place.inside(*parts)).is_file

    def drop(self, *parts: str) -> None:
        """Delete a file, if it is there."""
        with suppress(FileNotFoundError):
            self.place.files.delete_file(self.place.inside(*parts))


def make_private(folder: Path) -> None:
    """Make a folder that only this user can enter; one that is there keeps its mode, by which its owner shares it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def write_whole(target: Path, content: bytes) -> None:
    """Write a local file beside its place, to disk, then rename it; the folder is made if need be.

    Raises OSError, which names `target`, and leaves nothing.
    """
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    with naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
