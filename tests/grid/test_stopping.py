"""A signal ends a run in the same way whatever it is doing."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from salun_grid.grid import commands
from salun_grid.grid.cli import main
from salun_grid.grid.stopping import stoppable

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def survivable() -> Iterator[None]:
    """Without the handlers under test, SIGTERM would end pytest."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("phase", ["chosen_study", "make_plan", "missing_jobs"])
def test_before_ray_starts(phase: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, phase, lambda *_: os.kill(os.getpid(), number))
    result = CliRunner().invoke(main, ["run", "digits", "--out", str(tmp_path / "out")])
    assert (result.exit_code, (tmp_path / "out").exists()) == (130, False)
    assert result.output == "Stopped. Finished jobs are kept; rerun the same command to resume.\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_call_may_raise_anything(number: signal.Signals, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended, stoppable():
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            raise ImportError("half of a library") from None
    assert ended.value.code == 130
    assert capsys.readouterr().out.startswith("Stopped.")


def test_a_swallowed_signal_is_raised_again(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended, stoppable() as stop:
        stop.check()
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        stop.check()
    assert ended.value.code == 130


def test_other_errors_pass() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="ours"), stoppable():
        raise ValueError("ours")
    assert signal.getsignal(signal.SIGTERM) is before
