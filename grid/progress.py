"""Progress of a run: a live view on a terminal, plain lines in a pipe or a log."""

import time
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from salun_grid.grid.specs import Spec
from salun_grid.records.text import printable

PLAIN_LINE_SECONDS = 15.0


class Progress:
    """Job counts, the epoch and speed of each running job, and the time left. Use as a context manager."""

    def __init__(
        self,
        jobs: list[Spec],
        console: Console,
        on_tick: Callable[[], None] = lambda: None,
        detail: str = "normal",
        lacking: Callable[[], str] = lambda: "",
    ) -> None:
        """`on_tick` is called at each tick; `lacking` returns the missing resources that jobs wait for, or ""."""
        self.console, self.on_tick, self.detail = console, on_tick, detail
        self.lacking, self.waiting_for, self.last_look = lacking, "", -inf
        self.unfinished: dict[str, Spec] = {}
        self.total_jobs, self.total_images = 0, 0.0
        self.add(jobs)
        # Images of ended jobs, a forward-only pass counted as a third: trained in this run, and before it.
        self.done = self.failed = 0
        self.done_images = self.resumed_images = 0.0
        self.running: dict[str, tuple[Spec, dict[str, Any]]] = {}
        self.started = self.last_line = time.monotonic()
        self.first_start: float | None = None
        self.live = None
        if console.is_terminal and detail == "normal":
            self.live = Live(
                console=console,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> "Progress":
        if self.live:
            self.live.start()
        self.tick()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def add(self, jobs: Iterable[Spec]) -> None:
        """Add jobs, also after the start."""
        for job in jobs:
            self.unfinished[job.key] = job
            self.total_jobs += 1
            self.total_images += job.work.passed_images

    def start(self, job: Spec) -> None:
        self.first_start = self.first_start or time.monotonic()
        self.running[job.key] = (job, {})
        if self.detail == "verbose":
            self._line(f"start {job.label}")

    def advance(self, key: str, result: dict[str, Any]) -> None:
        if key not in self.running:
            return
        job, _ = self.running[key]
        self.running[key] = (job, result)
        if self.detail == "verbose":
            self._line(f"epoch {result['epoch']}/{job.num_epochs} of {job.label}")

    def finish(self, key: str) -> None:
        job, result = self.running.pop(key)
        del self.unfinished[key]
        self.done += 1
        resumed = passed(job, result.get("resumed_images", 0))
        self.resumed_images += resumed
        self.done_images += job.work.passed_images - resumed
        self._line(f"done {job.label}")

    def restart(self, job: Spec) -> None:
        """A job whose process died, possibly before the start, waits to resume from its last checkpoint."""
        self.running.pop(job.key, None)
        self._line(f"process died, restarting: {job.label}")

    def fail(self, job: Spec) -> None:
        """A job has failed, started or not."""
        self.running.pop(job.key, None)
        self.unfinished.pop(job.key, None)
        self.failed += 1
        self._line(f"FAILED {job.label}")

    def note(self, text: str) -> None:
        """Print a line, also in a quiet run."""
        self.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def tick(self) -> None:
        """Call `on_tick`, check for missing resources, and redraw. Raises what `on_tick` raises."""
        self.on_tick()
        self._look_for_what_is_lacking()
        self.show()

    def show(self) -> None:
        """Redraw the view; in plain mode, print a line every PLAIN_LINE_SECONDS."""
        if self.live:
            self.live.update(self._view())
        elif time.monotonic() - self.last_line > PLAIN_LINE_SECONDS:
            self._line(self.waiting_for)

    def _look_for_what_is_lacking(self) -> None:
        """Checked every PLAIN_LINE_SECONDS. Printed in a quiet run too, since the user may have to act."""
        if time.monotonic() - self.last_look <= PLAIN_LINE_SECONDS:
            return
        self.last_look = time.monotonic()
        lacking = self.lacking()
        self.waiting_for = f"waiting for {lacking}" if lacking else ""
        if lacking and self.detail == "quiet":
            self.console.print(self.waiting_for, markup=False, highlight=False, soft_wrap=True)

    def summary(self) -> str:
        waiting = self.total_jobs - self.done - self.failed - len(self.running)
        parts = [
            f"{self.done}/{self.total_jobs} jobs done",
            f"{len(self.running)} running",
            f"{waiting} waiting",
        ]
        parts += [f"{self.failed} failed"] if self.failed else []
        return " · ".join([*parts, f"{self.images_per_second():,.0f} images/s", f"{self.time_left()} left"])

    def images_trained(self) -> float:
        """Images trained in this run, over all jobs."""
        return self.done_images + sum(passed(job, result.get("images", 0)) for job, result in self.running.values())

    def images_done(self) -> float:
        """Images trained in this run and, for resumed jobs, before it."""
        resumed = sum(passed(job, result.get("resumed_images", 0)) for job, result in self.running.values())
        return self.images_trained() + self.resumed_images + resumed

    def images_per_second(self) -> float:
        """Mean training speed over all jobs since the first job started."""
        elapsed = time.monotonic() - self.first_start if self.first_start else 0.0
        return self.images_trained() / elapsed if elapsed else 0.0

    def time_left(self) -> str:
        speed = self.images_per_second()
        return duration((self.total_images - self.images_done()) / speed) if speed else "?"

    def _line(self, event: str) -> None:
        if not self.live and self.detail != "quiet":
            self.last_line = time.monotonic()
            elapsed = duration(self.last_line - self.started)
            self.console.print(
                f"[{elapsed}] {self.summary()}{' · ' if event else ''}{printable(event)}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

    def _view(self) -> Group:
        bar = Table.grid()  # a bare ProgressBar does not end its line
        bar.add_row(ProgressBar(total=max(self.total_images, 1), completed=self.images_done(), width=60))
        table = Table.grid(padding=(0, 2))
        for job, result in self.running.values():
            epoch = f"epoch {result['epoch']}/{job.num_epochs}" if result else "starting"
            speed = f"{result['images_per_second']:,.0f} images/s" if result else ""
            table.add_row(Text(f"  {printable(job.label)}"), epoch, speed)  # a str would be parsed as markup
        waiting = [Text(self.waiting_for)] if self.waiting_for else []
        return Group(Text(self.summary()), *waiting, bar, table)


def passed(job: Spec, images: int) -> float:
    """The reported `images` of a job with their share of those that pass forward alone, as through a teacher."""
    return images * job.work.passed_images / job.work.train_images if images else 0.0


def duration(seconds: float) -> str:
    """A duration as text: `1:02:03`, `2:03` or `0:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
