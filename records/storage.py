"""Storage of results: a local or mounted folder, or a prefix in an S3 or Google Cloud Storage bucket.

An address is a path, `s3://bucket/prefix` or `gs://bucket/prefix`. pyarrow interprets its query, such as
`?region=eu-west-1` or `?endpoint_override=127.0.0.1:9000&scheme=http`, and takes credentials from the same places as
the cloud's own tools: the environment, the user's files, the machine's role.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from salun_grid.records.errors import InputError

# Default options for pyarrow, unless the address sets them. S3: start an upload when its stream is opened; a start that
# is delayed and fails is retried, without the content, when the stream is dropped. Google Cloud Storage: give up after
# this time instead of 15 minutes.
SCHEMES = {"s3": "allow_delayed_open=false", "gs": "retry_limit_seconds=10"}

NO_BUCKET = "the bucket does not exist; create it first"
# Patterns in the error messages of the object-store libraries, with their meaning.
REASONS = {
    r"AWS Error NO_SUCH_BUCKET": NO_BUCKET,
    r"AWS Error (ACCESS_DENIED|\w*ACCESS_KEY|SIGNATURE|\w*TOKEN|.*HTTP status 40[13])"
    r"|google::cloud::Status\((PERMISSION_DENIED|UNAUTHENTICATED|.*access token)": (
        "the credentials are missing, wrong, or not allowed to do this; "
        "see AWS_ACCESS_KEY_ID or GOOGLE_APPLICATION_CREDENTIALS"
    ),
    r"AWS Error NETWORK_CONNECTION|google::cloud::Status\(UNAVAILABLE": (
        "no response; check the network and the address's endpoint_override"
    ),
}


@dataclass(frozen=True)
class Place:
    """The folder `path` on the file system `files`, which may not exist."""

    address: str
    files: fs.FileSystem
    path: str

    def inside(self, *parts: str) -> str:
        """The path of a file in this folder, for `files`."""
        return "/".join([self.path, *parts])

    def exists(self) -> bool:
        """Whether the folder exists; in a bucket every prefix does. Raises InputError if the bucket does not exist."""
        path = self.path.partition("/")[0] if is_remote(self.address) else self.path
        try:
            kind = self.files.get_file_info(path).type
        except OSError as error:
            raise InputError(f"cannot read {self.address}: {reason(error)}.") from None
        if is_remote(self.address) and kind == fs.FileType.NotFound:
            raise InputError(f"cannot read {self.address}: {NO_BUCKET}.")
        return kind == fs.FileType.Directory

    def is_empty(self) -> bool:
        """Whether the folder has no entries, including hidden ones."""
        return not self._list(self.path, recursive=False)

    def names(self, *parts: str, recursive: bool = False) -> list[str]:
        """Sorted relative paths of the files in a subfolder; a bucket needs one request per 1,000 files."""
        folder = self.inside(*parts)
        return sorted(info.path.removeprefix(f"{folder}/") for info in self._list(folder, recursive) if info.is_file)

    def whole(self, suffix: str, *parts: str) -> list[str]:
        """The names in a subfolder that end with `suffix`, without partially written files."""
        return [name for name in self.names(*parts) if name.endswith(suffix) and not name.startswith(".")]

    def _list(self, folder: str, recursive: bool) -> list[fs.FileInfo]:
        try:
            return self.files.get_file_info(fs.FileSelector(folder, allow_not_found=True, recursive=recursive))
        except OSError as error:
            raise InputError(f"cannot read {self.address}: {reason(error)}.") from None


def find(address: str | Path) -> Place:
    """The place at an address. Raises InputError for an invalid one; does not access local folders."""
    address = str(address)
    if not address.strip() or not address.isprintable():
        raise InputError(f"{address!r} is not a folder; give a path, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX.")
    if not is_remote(address):
        return Place(address, fs.LocalFileSystem(), str(Path(address)))
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise InputError(f"cannot use {address}; give a path, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX.")
    if parts.fragment or "#" in address:
        raise InputError(f"{address} contains a #, which is not allowed in a bucket's address; remove it.")
    if parts.password:
        hidden = address.replace(f"{parts.username}:{parts.password}@", "…@")
        raise InputError(f"{hidden} contains a secret, which would be printed; set it in the environment.")
    setting = SCHEMES[parts.scheme]
    if setting.partition("=")[0] not in parts.query:
        parts = parts._replace(query="&".join(filter(None, [parts.query, setting])))
    try:
        files, path = fs.FileSystem.from_uri(parts.geturl())
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"cannot use {address}: {reason(error)}.") from None
    return Place(address, files, path.rstrip("/"))


def is_remote(address: str | Path) -> bool:
    """Whether an address has a scheme; the typo `s3:/bucket` does not count as a folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(address)) is not None


def absolute(address: str) -> str:
    """The address, independent of the working directory."""
    return address if is_remote(address) else str(Path(address).absolute())


def address_in(address: str, *parts: str) -> str:
    """The address of a file or folder inside `address`."""
    if not is_remote(address):
        return str(Path(address, *parts))
    whole = urlsplit(address)
    return whole._replace(path="/".join([whole.path.rstrip("/"), *parts])).geturl()


def pictures_path(address: str, name: str) -> Path:
    """The default path of a figure or page: next to the results, or in the working directory if they are remote."""
    return Path(name) if is_remote(address) else Path(address, name)


def reason(error: Exception) -> str:
    """A short description of an error, without a full stop."""
    text = " ".join(str(error).split())
    for pattern, meaning in REASONS.items():
        if re.search(pattern, text):
            return meaning
    return getattr(error, "strerror", None) or text.rstrip(".")
