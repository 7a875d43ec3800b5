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

import psutil
import pytest
from click.testing import CliRunner

from grid.cli import main
from grid.lock import LOCK_FILE, STALE_SECONDS, DriverLock, held
from grid.store import Store
from tests.grid.studies import SMALL_SETTINGS
from trainables.errors import InputError


def driver(**changes: object) -> dict[str, object]:
    """The sign of a driver that lives: this process's parent, unless told otherwise."""
    parent = psutil.Process(os.getppid())
    sign = {"host": socket.gethostname(), "pid": parent.pid, "process_started": parent.create_time()}
    return {**sign, "alive_at": time.time(), **changes}


def store_with(tmp_path: Path, sign: dict[str, object] | None) -> Store:
    store = Store(str(tmp_path / "out"))
    store.create()
    if sign:
        store.publish(json.dumps(sign).encode(), LOCK_FILE)
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
    sign = driver(**changes)
    store = store_with(tmp_path, sign)
    with pytest.raises(InputError, match=f"another run works in {store.out} .process {sign['pid']} on {sign['host']}"):
        DriverLock(store).check()
    assert store.read_json(LOCK_FILE) == sign


@pytest.mark.parametrize(
    "sign",
    [
        None,
        driver(process_started=1.0),  # the process number was given to another process since
        driver(pid=2**22 + 1),
        driver(host="elsewhere", alive_at=time.time() - STALE_SECONDS - 1),
    ],
)
def test_a_dead_driver_is_followed_at_once(sign: dict[str, object] | None, tmp_path: Path) -> None:
    store = store_with(tmp_path, sign)
    lock = DriverLock(store)
    lock.check()
    with held(lock):
        assert store.read_json(LOCK_FILE)["pid"] == os.getpid()
        lock.check()
    assert store.read_json(LOCK_FILE) is None


COLLECTED_AT = time.time()


@pytest.mark.parametrize(
    ("sign", "line"),
    [
        (None, "no run works here now"),
        (driver(host="elsewhere", pid=7), r"a run works here: process 7 on elsewhere; its last sign .* [0-9] s ago"),
        (driver(alive_at=time.time() + 30), r"a run works here: process \d+ on .*; its last sign of life came 0 s ago"),
        (driver(alive_at=time.time() - 4000), r"a run works here: .* came 4,0\d\d s ago"),
        (
            driver(host="elsewhere", pid=7, alive_at=time.time() - 4000),
            r"no run works here now; the last one \(process 7 on elsewhere\) gave .* 4,0\d\d s ago and died",
        ),
        (driver(process_started=1.0), r"no run works here now; the last one .* and died"),
    ],
)
def test_who_works_here(sign: dict[str, Any] | None, line: str, tmp_path: Path) -> None:
    if sign:  # the signs were dated as the tests were collected, which may be long ago
        sign = sign | {"alive_at": sign["alive_at"] + time.time() - COLLECTED_AT}
    store = store_with(tmp_path, sign)
    assert re.fullmatch(line, DriverLock(store).describe())
    assert store.read_json(LOCK_FILE) == sign


def test_a_driver_stops_where_another_took_over(tmp_path: Path) -> None:
    """As after a laptop's long sleep: the sign was stale, another driver came."""
    lock = DriverLock(store_with(tmp_path, None))
    lock.renew()
    lock.renewed_at = float("-inf")
    lock.store.publish(json.dumps(driver()).encode(), LOCK_FILE)
    with pytest.raises(InputError, match="another run works"):
        lock.renew()
    lock.release()
    assert lock.store.read_json(LOCK_FILE)["pid"] == os.getppid()


def test_a_sign_that_cannot_be_taken_back_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a folder that became read-only; the next driver finds this one dead."""

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    store = store_with(tmp_path, None)
    with monkeypatch.context() as patched, held(DriverLock(store)):
        patched.setattr(Store, "drop", read_only)
    assert store.read_json(LOCK_FILE)["pid"] == os.getpid()


def test_the_second_run_says_so_and_writes_nothing(small_npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    store_with(tmp_path, None)
    code = "import sys; from grid.lock import *; DriverLock(Store(sys.argv[1])).renew(); print(flush=True); input()"
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout.readline() == "\n"
    before = sorted(out.rglob("*"))
    result = CliRunner().invoke(main, ["run", "demo", "--dataset", str(small_npz), *SMALL_SETTINGS, "--out", str(out)])
    first.communicate("\n")
    assert result.exit_code == 2
    assert f"another run works in {out}" in " ".join(result.stderr.split())
    assert sorted(out.rglob("*")) == before
