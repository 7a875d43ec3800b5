"""Addresses: which are taken, what is said of the others, and what lies where."""

from pathlib import Path

import pyarrow.fs
import pytest
from click.testing import CliRunner

from salun_grid.analysis.cli import main
from salun_grid.records.errors import InputError
from salun_grid.records.storage import absolute, address_in, find, is_remote, pictures_path

S3 = "s3://bucket/a/b?region=eu-west-1"


def test_a_path_is_a_local_folder(tmp_path: Path) -> None:
    place = find(tmp_path / "out")
    assert isinstance(place.files, pyarrow.fs.LocalFileSystem)
    assert place.path == str(tmp_path / "out")
    assert not place.exists()


@pytest.mark.parametrize(
    ("address", "path"),
    [(S3, "bucket/a/b"), ("s3://bucket/a/?region=eu-west-1", "bucket/a"), ("gs://bucket", "bucket")],
)
def test_an_address_is_a_prefix_in_a_bucket(address: str, path: str) -> None:
    place = find(address)
    assert place.files.type_name == {"s3": "s3", "gs": "gcs"}[address[:2]]
    assert place.path == path
    assert place.inside("models", "key") == f"{path}/models/key"


def test_the_region_of_an_address_is_used() -> None:
    assert find(S3).files.region == "eu-west-1"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("s4://bucket/a", "give a path, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"),
        ("https://host/a", "give a path, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"),
        ("s3:/bucket/a", "give a path, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"),
        ("s3:///a", "give a path, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"),
        ("gs://", "give a path, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"),
        ("s3://bucket/a?regoin=x", "Unexpected query parameter in S3 URI: 'regoin'"),
        ("s3://key:secret-word@bucket/a", "contains a secret, which would be printed"),
    ],
)
def test_what_is_no_address(address: str, sentence: str) -> None:
    result = CliRunner().invoke(main, ["tables", address])
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert "secret-word" not in result.output
    with pytest.raises(InputError):
        find(address)


def test_what_lies_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert address_in("runs/out", "logs", "x.txt") == "runs/out/logs/x.txt"
    assert address_in(S3, "logs", "x.txt") == "s3://bucket/a/b/logs/x.txt?region=eu-west-1"
    assert address_in("gs://bucket/", "logs") == "gs://bucket/logs"
    assert absolute("runs/out") == str(tmp_path / "runs" / "out")
    assert absolute(S3) == S3
    assert pictures_path("runs/out", "figures") == Path("runs/out/figures")
    assert pictures_path(S3, "figures") == Path("figures")


@pytest.mark.parametrize(
    ("text", "remote"), [("runs/out", False), ("/runs/s3:x", False), ("./a:/b", False), (S3, True)]
)
def test_which_are_remote(text: str, remote: bool) -> None:
    assert is_remote(text) == remote
