"""A cluster started by the documented lines lets in who has its token, and nobody else."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from salun_grid.grid.cli import main
from salun_grid.grid.on_ray.access import check_access, lets_in
from salun_grid.grid.on_ray.session import where_ray_runs
from salun_grid.records.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
RAY = f"{sys.executable} -m ray.scripts.scripts"


def documented(name: str, port: int, sessions: Path) -> str:
    """The shell lines of one block of the page, for one machine: the head's port and name differ, and Ray stays up."""
    (block,) = re.findall(rf"```sh\n# {name}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    text = block.replace("6379", str(port)).replace("HEAD", "127.0.0.1")
    text = re.sub(r"^ray start", "exec ray start --block --num-cpus=1 --disable-usage-stats", text, flags=re.MULTILINE)
    text = text.replace("/tmp/XXXXXX", f"{sessions}/XXXXXX")
    return re.sub(r"\bray (start|get-auth-token)", rf"{RAY} \1", text)


def start(name: str, home: Path, port: int, sessions: Path) -> subprocess.Popen:
    home.mkdir(exist_ok=True)
    unset = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"HOME": str(home)}
    process = subprocess.Popen(
        ["bash", "-c", documented(name, port, sessions)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ray runtime started" in line:
            return process
    raise AssertionError("".join(lines))


@pytest.fixture(scope="module")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, subprocess.Popen]]:
    """The address of a head and a second node, the head's home, and the second node."""
    folder = tmp_path_factory.mktemp("homes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A path short enough for Ray's sockets, and to delete at the end.
    sessions = Path(tempfile.mkdtemp(dir="/tmp"))
    sessions.chmod(0o755)
    processes = [start("head", folder / "head", port, sessions)]
    token = folder / "head" / ".ray" / "auth_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    (folder / "node" / ".ray").mkdir(parents=True)
    shutil.copy2(token, folder / "node" / ".ray" / "auth_token")
    processes.append(start("node", folder / "node", port, sessions))
    assert {stat.S_IMODE(path.stat().st_mode) for path in sessions.iterdir()} == {0o700}
    yield f"127.0.0.1:{port}", folder / "head", processes[1]
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)  # a gentle end takes half a minute
    for process in processes:
        process.communicate(timeout=60)
    shutil.rmtree(sessions)


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_who_has_the_token_gets_in(ray_cluster: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    address, home, node = ray_cluster
    assert node.poll() is None, "the second node joined and stays"
    monkeypatch.setenv("HOME", str(home))
    check_access(address, allow_open=False)
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_who_has_none_is_turned_away(ray_cluster: tuple) -> None:
    assert not lets_in(ray_cluster[0], "disabled")
    with pytest.raises(InputError, match="requires a token, and this user has none; copy "):
        check_access(ray_cluster[0], allow_open=True)


def test_who_has_another_is_turned_away(ray_cluster: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", 64 * "0")
    with pytest.raises(InputError, match="does not accept the token in RAY_AUTH_TOKEN; copy "):
        check_access(ray_cluster[0], allow_open=False)


NO_ADDRESSES = ["localhost", "127.0.0.1:", ":1", "127.0.0.1:port", "127.0.0.1:99999999", "http://127.0.0.1:8265"]


@pytest.mark.parametrize("address", [*NO_ADDRESSES, "ray://127.0.0.1:10001"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InputError, match=r"give HOST:PORT of its head"):
        check_access(address, allow_open=False)


def test_the_address_may_come_from_the_environment(
    small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    result = CliRunner().invoke(main, ["run", "digits", "--dataset", str(small_npz), "--out", str(tmp_path / "out")])
    assert (result.exit_code, (tmp_path / "out").exists()) == (2, False)
    assert "no Ray cluster answers at 127.0.0.1:1" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--cpus-per-job", "9999"], "a job needs 9999 CPU (there is"),
        (["--cpus-per-job", "nan"], "--cpus-per-job must be a finite number of at least 0.0001, not nan"),
        (["--cpus-per-job", "0"], "--cpus-per-job must be a finite number of at least 0.0001, not 0"),
        (["--gpus-per-job", "-1"], "--gpus-per-job must be a whole number, or a fraction of one GPU"),
        (["--gpus-per-job", "99"], "a job needs 1 CPU and 99 GPU (there is"),
        (["--workers", "1000"], "a job needs 1000 workers with 1 CPU"),
    ],
)
def test_what_a_machine_cannot_give_is_refused_at_once(
    words: list[str], sentence: str, small_npz: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["run", "digits", "--dataset", str(small_npz), "--out", str(out), *words])
    assert (result.exit_code, out.exists()) == (2, False)
    assert sentence in " ".join(result.stderr.split())


def test_what_listens_is_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that ends otherwise than by an answer must not be taken for a wrong token."""
    monkeypatch.setattr("salun_grid.grid.on_ray.access.PROBE", "raise RuntimeError('Ray version mismatch')")
    with pytest.raises(InputError, match=r"cannot join .* at 10.0.0.1:6379 \(RuntimeError: Ray version mismatch\)\."):
        lets_in("10.0.0.1:6379", "disabled")


def test_an_address_from_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert where_ray_runs("10.0.0.1:6379") == (
        "Joining Ray at 10.0.0.1:6379 (from RAY_ADDRESS; --address local starts Ray on this machine) …"
    )
    assert where_ray_runs("10.0.0.2:6379") == "Joining Ray at 10.0.0.2:6379 …"
    assert where_ray_runs(None) == "Starting Ray on this machine …"
