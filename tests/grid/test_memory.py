"""The peak memory of a job is that job's, or null."""

from pathlib import Path

import pytest
import torch

from salun_grid.grid import memory
from salun_grid.grid.memory import COUNTING_ERROR, Peak, PeakMemory, reset_peak

CPU, LARGE = torch.device("cpu"), 256 * 2**20
RESETS = Path("/proc/self/clear_refs").exists() and reset_peak()


@pytest.mark.skipif(not RESETS, reason="this system does not restart a process's peak")
def test_a_job_in_a_warm_process_does_not_get_the_peak_of_an_earlier_one() -> None:
    first = PeakMemory(CPU)
    block = bytearray(LARGE)
    block[::4096] = b"1" * len(block[::4096])
    large = first.read().host
    del block
    small = PeakMemory(CPU).read().host
    assert large is not None and small is not None
    assert large - small > LARGE - 2 * COUNTING_ERROR
    assert PeakMemory(CPU).read().device is None


def status(folder: Path, resident: int, peak: int) -> Path:
    """What the kernel says of a process, in KiB."""
    path = folder / "status"
    path.write_text(f"Name:\tpython\nVmHWM:\t{peak:8} kB\nVmRSS:\t{resident:8} kB\nThreads:\t1\n")
    return path


def test_a_peak_that_the_system_does_not_restart_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "folder" / "clear_refs")
    assert PeakMemory(CPU).read() == Peak(None, None)


@pytest.mark.parametrize(("peak", "host"), [(100_000, 100_000 * 1024), (900_000, None)])
def test_a_peak_that_stays_after_the_restart_is_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peak: int, host: int | None
) -> None:
    """A system may take the request and have no effect."""
    monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "clear_refs")
    monkeypatch.setattr(memory, "STATUS", status(tmp_path, 99_000, peak))
    assert PeakMemory(CPU).read().host == host
    assert (tmp_path / "clear_refs").read_text() == "5"


def test_a_status_of_another_form_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "clear_refs")
    monkeypatch.setattr(memory, "STATUS", tmp_path / "clear_refs")
    assert PeakMemory(CPU).read().host is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpus_peak_starts_with_the_job() -> None:
    device = torch.device("cuda")
    first = PeakMemory(device)
    torch.empty(LARGE, dtype=torch.uint8, device=device)
    large, small = first.read().device, PeakMemory(device).read().device
    assert large is not None and small is not None and large - small >= LARGE
