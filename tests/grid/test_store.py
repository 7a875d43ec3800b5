"""The out folder: whole or not at all, and never over something else."""

import json
import threading
from pathlib import Path

import pytest

from salun_grid.grid.store import Store
from salun_grid.records.errors import InputError
from salun_grid.records.schemas import SCHEMA_VERSION
from salun_grid.records.studies import read_studies
from tests.support.full_disk import no_file_larger_than


def new_store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "out"))
    store.create()
    return store


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """A reader that looks all the time, while the file is replaced many times, sees one of the contents."""
    store, contents = new_store(tmp_path), [bytes([i]) * 300_000 for i in range(40)]
    store.publish(contents[0], "models", "x")
    seen, stop = set(), threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(Path(store.address("models", "x")).read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for content in contents:
        store.publish(content, "models", "x")
    stop.set()
    reader.join()
    assert seen <= set(contents)
    assert len(seen) > 1


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(tmp_path)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match=r"No space left on device: .*out/results/runs/key.parquet"):
        store.publish(b"x" * 100, "results", "runs", "key.parquet")
    assert list(Path(store.address("results", "runs")).iterdir()) == []


def test_a_disk_that_is_full_at_the_start(tmp_path: Path) -> None:
    """A nearly full one still takes the marker and the study, but no result. With room the same folder will do."""
    store = Store(str(tmp_path / "out"))
    for num_bytes in (0, 4096):
        with no_file_larger_than(num_bytes), pytest.raises(InputError, match=r"cannot write to --out .*out: File too"):
            store.create()
    with no_file_larger_than(0), pytest.raises(InputError, match=r"cannot write to --out .*out: File too"):
        store.publish_study({"study": "demo"})
    assert {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()} == {"format.json"}
    store.check()
    store.create()


def test_why_a_job_failed_is_kept_elsewhere_where_the_folder_refuses_it(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    assert store.publish_failure("key", "why") == f"{tmp_path}/out/logs/key.txt"
    assert store.read("logs", "key.txt") == b"why"
    (tmp_path / "out" / "logs" / "other.txt").mkdir()
    elsewhere = Path(store.publish_failure("other", "why not"))
    assert elsewhere.read_text() == "why not"
    (tmp_path / "out" / "logs" / "third.txt").mkdir()
    third = Path(store.publish_failure("third", "why not"))
    assert third.parent == elsewhere.parent
    third.unlink()
    assert tmp_path / "out" not in elsewhere.parents
    elsewhere.unlink()
    elsewhere.parent.rmdir()


def test_a_model_counts_once_its_manifest_is_there(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.publish(b"weights", "models", "key", "weights.safetensors")
    assert not store.has_model("key")
    store.publish_model("key", b"weights", {"model_key": "key"})
    assert store.has_model("key")
    assert store.published_models() == {"key"}
    assert store.read_weights("key") == b"weights"
    assert store.read_manifest("key") == {"model_key": "key"}


def test_hidden_files_are_no_rows(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.publish(b"", "results", "runs", "key.parquet")
    Path(store.address("results", "runs", ".half.parquet")).touch()
    assert store.published_rows() == {"key"}


def test_a_study_is_noted_once(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    summary = {"study": "demo", "command": "salun-grid run demo", "models": ["a"], "rows": ["b"]}
    store.publish_study(summary)
    store.publish_study(summary)
    (study,), damaged = read_studies(store.place)
    assert (study.name, study.models, study.rows, damaged) == ("demo", {"a"}, {"b"}, [])


def test_a_study_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.publish_study({"study": "demo", "command": "run", "originals": ["a"], "evaluated": ["b"]})
    (study,), _ = read_studies(store.place)
    assert (study.models, study.rows) == ({"a"}, {"b"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format.json": json.dumps({"schema_version": 99})}, "schema version 99"),
        ({"format.json": "{"}, "cannot be read"),
        ({"thesis.doc": "…"}, "contains other files"),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path: Path, content: dict[str, str], message: str) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        Store(str(tmp_path)).check()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        Store(str(tmp_path / "file")).check()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """/proc refuses new folders even to root."""
    with pytest.raises(InputError, match="cannot write"):
        Store("/proc/results").create()


def test_a_new_folder_is_private_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    Store(str(tmp_path / "runs" / "new")).create()
    assert (tmp_path / "runs" / "new").stat().st_mode & 0o777 == 0o700
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o755)
    Store(str(tmp_path / "shared")).create()
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o755


def test_a_folder_of_other_keys_is_not_added_to(tmp_path: Path) -> None:
    """Of an earlier version, which did not note their format; without results it is taken over."""
    store = new_store(tmp_path)
    store.publish(json.dumps({"format": "salun-grid", "schema_version": SCHEMA_VERSION}).encode(), "format.json")
    store.check_keys()
    store.publish_model("key", b"weights", {"model_key": "key"})
    store.check()
    with pytest.raises(InputError, match="another key format, so a run would compute each of them a second time"):
        store.check_keys()
    Store(str(tmp_path / "new")).check_keys()
