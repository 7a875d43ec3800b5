"""One driver at a time in an out folder, whatever became of the one before."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from salun_grid.grid import lock as lock_module
from salun_grid.grid.cli import main
from salun_grid.grid.identity import process_identity
from salun_grid.grid.lock import LOCK_FILE, STALE_SECONDS, DriverLock, Heartbeat, held
from salun_grid.grid.store import Store
from salun_grid.records.errors import InputError
from tests.support.studies import SMALL_SETTINGS


def driver(**changes: object) -> dict[str, object]:
    """The heartbeat of a driver that lives: this process's parent, unless told otherwise."""
    parent = os.getppid()
    beat = {"host": socket.gethostname(), "pid": parent, "process": process_identity(parent)}
    return {**beat, "alive_at": time.time(), **changes}


def read(store: Store) -> dict[str, Any] | None:
    return json.loads(store.read(LOCK_FILE)) if store.exists(LOCK_FILE) else None


def never_beats(seconds: float) -> None:
    """Stands for the time that a heartbeat is watched."""


def store_with(tmp_path: Path, beat: dict[str, object] | None) -> Store:
    store = Store(str(tmp_path / "out"))
    store.create()
    if beat:
        store.publish(json.dumps(beat).encode(), LOCK_FILE)
    return store


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"alive_at": 0},  # its process is there: a long garbage collection, a suspended laptop
        {"host": "elsewhere", "pid": 1},
    ],
)
def test_a_living_driver_keeps_others_out(changes: dict[str, object], tmp_path: Path) -> None:
    beat = driver(**changes)
    store = store_with(tmp_path, beat)
    with pytest.raises(
        InputError, match=f"another run is active in {store.out} .process {beat['pid']} on {beat['host']}"
    ):
        DriverLock(store).check()
    assert read(store) == beat


@pytest.mark.parametrize(
    "beat",
    [
        None,
        driver(process="another boot/1"),  # the process number was given to another process since
        driver(pid=2**22 + 1),
        driver(host="elsewhere", alive_at=time.time() - STALE_SECONDS - 1),
    ],
)
def test_a_dead_driver_is_followed_at_once(beat: dict[str, object] | None, tmp_path: Path) -> None:
    store = store_with(tmp_path, beat)
    lock = DriverLock(store, never_beats)
    lock.check()
    with held(lock):
        assert read(store)["pid"] == os.getpid()
        lock.check()
    assert read(store) is None


COLLECTED_AT = time.time()


@pytest.mark.parametrize(
    ("beat", "line"),
    [
        (None, "no active run"),
        (driver(host="elsewhere", pid=7), r"active run: process 7 on elsewhere, last heartbeat [0-9] s ago"),
        (
            driver(alive_at=time.time() + 30),
            r"active run: process \d+ on .*, last heartbeat 30 s ahead of .* clock",
        ),
        (driver(alive_at=time.time() - 4000), r"active run: .* last heartbeat 4,0\d\d s ago"),
        (
            driver(host="elsewhere", pid=7, alive_at=time.time() - 4000),
            r"probably no active run; last heartbeat of process 7 on elsewhere: 4,0\d\d s ago",
        ),
        (driver(process="another boot/1"), r"no active run; the last run .* died, last heartbeat \d+ s ago"),
    ],
)
def test_who_works_here(beat: dict[str, Any] | None, line: str, tmp_path: Path) -> None:
    if beat:  # the heartbeats were dated as the tests were collected, which may be long ago
        beat = beat | {"alive_at": beat["alive_at"] + time.time() - COLLECTED_AT}
    store = store_with(tmp_path, beat)
    assert re.fullmatch(line, DriverLock(store).describe())
    assert read(store) == beat


@pytest.mark.parametrize("step", [-4000.0, -2.0, 2.0, 4000.0])
def test_a_step_of_the_clock_kills_no_driver(step: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under NTP, or in a laptop that wakes up: the identity of a process never follows the clock."""
    store = store_with(tmp_path, driver())
    now = time.time()
    monkeypatch.setattr(lock_module.time, "time", lambda: now + step)
    with pytest.raises(InputError, match="another run is active in"):
        DriverLock(store).check()
    assert DriverLock(store).describe().startswith("active run")


@pytest.mark.parametrize("skew", [-3600.0, -STALE_SECONDS - 1, STALE_SECONDS + 1, 3600.0])
@pytest.mark.parametrize("beats", [True, False])
def test_a_machine_whose_clock_differs_is_watched(skew: float, beats: bool, tmp_path: Path) -> None:
    """Neither a clock that is behind nor one that is ahead makes a living driver dead, or a dead one live for ever."""
    beat = driver(host="elsewhere", alive_at=time.time() + skew)
    store = store_with(tmp_path, beat)

    def sleep(seconds: float) -> None:
        if beats:
            store.publish(json.dumps({**beat, "alive_at": time.time() + skew + seconds}).encode(), LOCK_FILE)

    lock = DriverLock(store, sleep)
    if beats:
        with pytest.raises(InputError, match="another run is active in"):
            lock.check()
    else:
        lock.check()


DAMAGED = {
    "empty": b"",
    "truncated": b'{"host": "x", "pid":',
    "garbage": bytes(range(256)),
    "a list": b"[]",
    "a number": b"3",
    "no fields": b"{}",
    "one field": b'{"host": "x"}',
    "a word for a number": b'{"host": "x", "pid": "x", "process": "p", "alive_at": 1}',
    "a negative process": b'{"host": "x", "pid": -1, "process": "p", "alive_at": 1}',
    "true for a process": b'{"host": "x", "pid": true, "process": "p", "alive_at": 1}',
    "no time": b'{"host": "x", "pid": 1, "process": "p", "alive_at": NaN}',
    "a word for a time": b'{"host": "x", "pid": 1, "process": "p", "alive_at": "now"}',
    "a list for a host": b'{"host": [], "pid": 1, "process": "p", "alive_at": 1}',
    "deep": b"[" * 5000,
    "version 0.1": b'{"host": "x", "pid": 1, "process_started": 1.5, "alive_at": 1.5}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_heartbeat_blocks_nobody(content: bytes, tmp_path: Path) -> None:
    store = store_with(tmp_path, None)
    store.publish(content, LOCK_FILE)
    assert Heartbeat.parse(content) is None
    assert DriverLock(store).describe() == "no active run"
    with held(DriverLock(store)):
        assert read(store)["pid"] == os.getpid()
    assert read(store) is None


def test_a_driver_stops_where_another_took_over(tmp_path: Path) -> None:
    """As after a laptop's long sleep: the heartbeat was stale, another driver came."""
    lock = DriverLock(store_with(tmp_path, None))
    lock.renew()
    lock.renewed_at = float("-inf")
    lock.store.publish(json.dumps(driver()).encode(), LOCK_FILE)
    with pytest.raises(InputError, match="another run is active"):
        lock.renew()
    lock.release()
    assert read(lock.store)["pid"] == os.getppid()


def test_a_heartbeat_that_cannot_be_taken_back_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a folder that became read-only; the next driver finds this one dead."""

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    store = store_with(tmp_path, None)
    with monkeypatch.context() as patched, held(DriverLock(store)):
        patched.setattr(Store, "drop", read_only)
    assert read(store)["pid"] == os.getpid()


def test_the_second_run_says_so_and_writes_nothing(small_npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    store_with(tmp_path, None)
    code = "import sys; from salun_grid.grid.lock import *; DriverLock(Store(sys.argv[1])).renew(); "
    code += "print(flush=True); input()"
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout.readline() == "\n"
    before = sorted(out.rglob("*"))
    result = CliRunner().invoke(
        main, ["run", "digits", "--dataset", str(small_npz), *SMALL_SETTINGS, "--out", str(out)]
    )
    first.communicate("\n")
    assert result.exit_code == 2
    assert f"another run is active in {out}" in " ".join(result.stderr.split())
    assert sorted(out.rglob("*")) == before
