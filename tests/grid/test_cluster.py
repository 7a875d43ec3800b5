"""Ray on this machine: private wherever TMPDIR is, stopped by a signal, one sentence where it does not start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from salun_grid.grid.on_ray import cluster, private
from salun_grid.records.errors import InputError

# isort: split
import ray

# Prints the session folder and the modes of its parent and of Ray's token; then asks itself to stop, as SLURM does.
STOPPED_AFTER_START = """
import os, signal, stat, sys
from pathlib import Path
from salun_grid.grid.on_ray.cluster import connected
from salun_grid.grid.stopping import stoppable
with stoppable():
    ours = signal.getsignal(signal.SIGTERM)
    out = sys.stdout
    with connected(None, Path(sys.argv[1]), lambda: len(sys.argv) > 2) as session:
        print(session, oct(stat.S_IMODE(session.stat().st_mode)), signal.getsignal(signal.SIGTERM) is ours, file=out)
        print(*sorted(path.name for path in session.iterdir()), file=out, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.ray
def test_a_private_session_in_spite_of_a_long_tmpdir_and_its_end_by_a_signal(tmp_path: Path) -> None:
    long = tmp_path / (95 * "x")
    long.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"TMPDIR": str(long), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", STOPPED_AFTER_START, str(tmp_path / "ray.log")]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert (run.returncode, run.stderr) == (130, "")  # Ray's own handler would print a stack trace first
    first, inside, last = run.stdout.splitlines()
    session, mode, ours = first.split()
    assert (mode, ours, inside) == ("0o700", "True", "ray")
    assert Path(session).parent == Path("/tmp") and not Path(session).exists()
    assert last.startswith("Stopped.")
    assert not (tmp_path / ".ray").exists()  # Ray itself would write its token there, with the mode of any file


@pytest.mark.parametrize(
    ("parent", "expected"), [("{long}", "/tmp"), ("{missing}", "/tmp")], ids=["too long", "not there"]
)
def test_where_the_session_folder_is(
    parent: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "long").mkdir()
    places = {"long": str(tmp_path / "long" / (95 * "x")), "missing": "/nowhere"}
    monkeypatch.setattr("tempfile.tempdir", parent.format(**places))
    folder = cluster.private_folder()
    try:
        assert (str(folder.parent), folder.stat().st_mode & 0o777) == (expected, 0o700)
    finally:
        folder.rmdir()


def test_no_place_for_the_session_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> str:
        raise PermissionError

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(InputError, match="set TMPDIR to a writable one"):
        cluster.private_folder()


@pytest.mark.parametrize("error", [AssertionError(), OSError("AF_UNIX path\nlength"), TimeoutError("late")])
@pytest.mark.parametrize("address", [None, "10.0.0.1:6379"])
def test_what_keeps_ray_from_starting_is_one_sentence(
    address: str | None, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.setattr(cluster, "private_folder", lambda: tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with pytest.raises(InputError) as told, cluster.connected(address, tmp_path / "ray.log"):
        pass
    what = "cannot join the Ray cluster at 10.0.0.1:6379" if address else f"Ray did not start in {tmp_path}"
    reason = " ".join(str(error).split()) or "AssertionError"
    assert str(told.value) == f"{what} ({reason}); the log is {tmp_path / 'ray.log'}."


def test_a_confined_process_starts_no_more_than_its_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert private.num_cpus() == 1
    assert cluster.this_machine().nodes[0]["CPU"] == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_stop_while_ray_starts_leaves_no_folder(
    stop: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "ray").mkdir()
        raise stop

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(cluster.tempfile, "tempdir", "/tmp")
    made: list[Path] = []
    monkeypatch.setattr(cluster, "start", lambda folder: (made.append(folder), interrupted(folder)))
    with pytest.raises(stop), cluster.connected(None, tmp_path / "ray.log"):
        pytest.fail("Ray has started")
    assert len(made) == 1 and not made[0].exists()
