"""The view of a run: live on a terminal, plain lines elsewhere."""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from salun_grid.grid.progress import Progress, duration
from salun_grid.grid.stopping import Stop
from tests.support.studies import FakeJob as Job


def job(key: str) -> Job:
    return Job(key, images=1000)


def follow(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of three jobs done, one failed, one half-way, two seconds after the start."""
    clock = [100.0]
    monkeypatch.setattr("salun_grid.grid.progress.time.monotonic", lambda: clock[0])
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    jobs = [job("a"), job("b"), job("c")]
    with Progress(jobs, console) as progress:
        for each in jobs:
            progress.start(each)
        clock[0] += 2.0
        progress.advance("b", {"epoch": 15, "images": 500, "images_per_second": 250.0})
        progress.finish("a")
        progress.fail(job("c"))
        progress.tick()
        if terminal:
            progress.live.refresh()
    return console.file.getvalue()


def test_plain_lines_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = follow(False, monkeypatch).splitlines()
    assert lines == [
        "[0:02] 1/3 jobs done · 2 running · 0 waiting · 750 images/s · 0:02 left · done retrain 10% · digits · none · "
        "seed 0",
        "[0:02] 1/3 jobs done · 1 running · 0 waiting · 1 failed · 750 images/s · 0:02 left · FAILED retrain 10% · "
        "digits · none · seed 0",
    ]
    assert "\x1b" not in "".join(lines)


def test_a_live_view_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = follow(True, monkeypatch)
    assert "1/3 jobs done · 1 running" in text
    assert "epoch 15/30" in text
    assert "250 images/s" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_a_name_is_neither_markup_nor_a_control_sequence(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    odd = replace(job("a"), label="[red]\x1b[2Jx\ny")
    with Progress([odd], console) as progress:
        progress.start(odd)
        progress.tick()
        if terminal:
            progress.live.refresh()
        else:
            progress.finish("a")
    text = console.file.getvalue()
    assert r"[red]\x1b[2Jx\ny" in text and "\x1b[2J" not in text


def test_quiet_says_nothing_and_verbose_all() -> None:
    lines = {}
    for detail in ("quiet", "verbose"):
        console = Console(file=io.StringIO(), force_terminal=True, width=200)
        with Progress([job("a")], console, detail=detail) as progress:
            progress.start(job("a"))
            progress.advance("a", {"epoch": 3, "images": 500, "images_per_second": 250.0})
            progress.finish("a")
        lines[detail] = [line.partition("left · ")[2] for line in console.file.getvalue().splitlines()]
    label = "retrain 10% · digits · none · seed 0"
    assert lines == {"quiet": [], "verbose": [f"start {label}", f"epoch 3/30 of {label}", f"done {label}"]}


def test_epochs_of_an_earlier_sitting_are_done_but_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,000 images 600 were trained before, and 100 now in 2 s: 300 are left, for 6 s."""
    clock = [100.0]
    monkeypatch.setattr("salun_grid.grid.progress.time.monotonic", lambda: clock[0])
    progress = Progress([job("a")], Console(file=io.StringIO()))
    progress.start(job("a"))
    clock[0] += 2.0
    progress.advance("a", {"epoch": 21, "images": 100, "resumed_images": 600, "images_per_second": 50.0})
    assert (progress.images_done(), progress.images_per_second(), progress.time_left()) == (700, 50.0, "0:06")
    clock[0] += 6.0
    progress.finish("a")
    assert (progress.images_done(), progress.images_per_second()) == (1000, 50.0)


@pytest.mark.parametrize(("seconds", "text"), [(3.4, "0:03"), (123, "2:03"), (3723, "1:02:03")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_stop_that_was_asked_for_is_raised_again_at_the_next_tick() -> None:
    stop = Stop()
    progress = Progress([], Console(file=io.StringIO()), on_tick=stop.check)
    progress.tick()
    stop.requested = True
    with pytest.raises(KeyboardInterrupt):
        progress.tick()


@pytest.mark.parametrize("detail", ["quiet", "normal"])
def test_what_jobs_wait_for_is_printed_again_and_again(detail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lacking = [100.0], ["nodes with room for 1 GPU"]
    monkeypatch.setattr("salun_grid.grid.progress.time.monotonic", lambda: clock[0])
    console = Console(file=io.StringIO(), width=200)
    progress = Progress([job("a")], console, detail=detail, lacking=lambda: lacking[0])
    for _ in range(3):
        clock[0] += 20.0
        progress.tick()
    lacking[0] = ""
    clock[0] += 20.0
    progress.tick()
    waiting = [line for line in console.file.getvalue().splitlines() if "waiting for" in line]
    assert len(waiting) == 3 and all(line.endswith("waiting for nodes with room for 1 GPU") for line in waiting)


def test_passes_forward_alone_count_in_the_time_left() -> None:
    """A teacher's 300 images are worth 100: of 1,100, 550 are done with half of the 1,000 that are reported."""
    job = SimpleNamespace(
        key="a", label="scrub", num_epochs=2, work=SimpleNamespace(train_images=1000, passed_images=1100.0)
    )
    progress = Progress([job], Console(file=io.StringIO()))
    progress.start(job)
    progress.advance("a", {"epoch": 1, "images": 500, "images_per_second": 50.0})
    assert (progress.total_images, progress.images_done()) == (1100, 550)
    progress.finish("a")
    assert progress.images_done() == 1100
