"""The parts of `benchmarks.on_gpu`; each runs in its own process, since a CUDA error or a hang may end it.

`python -m benchmarks.gpu_parts NAME OUT DEADLINE SETTINGS_JSON` writes OUT/parts/NAME.json once the part is done;
DEADLINE is on the monotonic clock, which all processes of a machine share. Each part imports only what it needs, since
importing libraries such as torchvision and scikit-learn takes seconds per process.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.gpu_machine import facts
from benchmarks.gpu_variants import FULL, NO_TIME, TINY, Case, Size, TimeLeft, complete
from salun_grid.records.folder import write_whole
from salun_grid.trainables.protocol import PROTOCOLS, Protocol, TrainingConfig, UnlearningConfig

# Time between a part's own deadline and killing its process.
GRACE_SECONDS = 15.0


@dataclass(frozen=True)
class Settings:
    """Benchmark settings. The fields from `images` on belong to the study; `epochs` 0 means the protocol's value."""

    tiny: bool = False
    repetitions: int = 3
    images: str = ""
    precision: str = "auto"
    epochs: int = 0
    forget_rate: float = 0.1
    augmentation: str = "default"
    seed: int = 0
    compile: bool = False

    @property
    def size(self) -> Size:
        return TINY if self.tiny else FULL

    @property
    def protocol(self) -> Protocol:
        """The protocol `paper`; with `tiny`, the same steps on a narrow model at the images' own size."""
        paper = PROTOCOLS["paper"]
        if self.tiny:
            training = TrainingConfig(epochs=2, batch_size=32, learning_rate=0.05)
            unlearning = UnlearningConfig(epochs=1, batch_size=32)
            paper = replace(paper, image_size=0, training=training, unlearning=unlearning)
        epochs = self.epochs or paper.training.epochs
        model = replace(paper.model, width=self.size.width, precision=self.precision)
        return replace(paper, model=model, training=replace(paper.training, epochs=epochs))


Result = tuple[dict[str, Any], bool]  # the measurements, and whether they are complete


def tests_part(settings: Settings, out: Path, time_left: TimeLeft) -> Result:
    from benchmarks.gpu_tests import run_tests

    return run_tests(time_left()), True


def training_part(precision: str) -> "Part":
    def part(settings: Settings, out: Path, time_left: TimeLeft) -> Result:
        from benchmarks.gpu_training import training

        with tempfile.TemporaryDirectory() as folder:
            case = training(settings.size, precision, settings.repetitions, Path(folder), time_left)
        return cases_result([case])

    return part


def salun_part(settings: Settings, out: Path, time_left: TimeLeft) -> Result:
    from benchmarks.gpu_salun import salun

    return cases_result(salun(settings.size, settings.repetitions, time_left))


def cases_result(cases: list[Case]) -> Result:
    return {"cases": [case.to_json() for case in cases]}, all(map(complete, cases))


def memory_part(settings: Settings, out: Path, time_left: TimeLeft) -> Result:
    from benchmarks.gpu_memory import memory

    found = memory(settings.size, time_left)
    return {"variants": found}, all(variant.get("failed") != NO_TIME for variant in found.values())


def study_part(settings: Settings, out: Path, time_left: TimeLeft) -> Result:
    from benchmarks.gpu_study import Work, slice_of_study

    (out / "study").mkdir(exist_ok=True)
    result = slice_of_study(Work(settings, out / "study", time_left))
    return result, result["complete"]


Part = Callable[[Settings, Path, TimeLeft], Result]

PARTS: dict[str, Part] = {
    "tests": tests_part,
    "fp32": training_part("fp32"),
    "bf16": training_part("bf16"),
    "salun": salun_part,
    "memory": memory_part,
    "study": study_part,
}


def path_of(name: str, out: Path) -> Path:
    return out / "parts" / f"{name}.json"


def kept(name: str, out: Path) -> dict[str, Any] | None:
    """The saved result of a part, or None."""
    path = path_of(name, out)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def run_part(name: str, settings: Settings, out: Path, time_left: TimeLeft) -> None:
    """Measure a part and write its file atomically."""
    started = time.perf_counter()
    result, done = PARTS[name](settings, out, time_left)
    content = {
        "part": name,
        "complete": done,
        "wall_seconds": round(time.perf_counter() - started, 1),
        "facts": facts(),
        "settings": asdict(settings),
        "result": result,
    }
    path_of(name, out).parent.mkdir(parents=True, exist_ok=True)
    write_whole(path_of(name, out), (json.dumps(content, indent=1) + "\n").encode())


def command(name: str, settings: Settings, out: Path, deadline: float) -> list[str]:
    """The command that runs a part in its own process."""
    return [sys.executable, "-m", "benchmarks.gpu_parts", name, str(out), repr(deadline), json.dumps(asdict(settings))]


if __name__ == "__main__":
    part_deadline = float(sys.argv[3]) - GRACE_SECONDS
    asked = Settings(**json.loads(sys.argv[4]))
    run_part(sys.argv[1], asked, Path(sys.argv[2]), lambda: part_deadline - time.monotonic())
