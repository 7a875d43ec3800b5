"""One line that says why a job failed, whatever wrote the reason. The texts are Ray 2.60's own, shortened."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from salun_grid.grid.on_ray.trial import crashes_recorded, failure
from salun_grid.grid.reasons import in_one_line, with_evidence

DIED = """The actor died unexpectedly before finishing this task.
\tclass_name: ImplicitFunc
\tip: 192.0.2.2
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker \
unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the process was killed \
by the OOM killer due to high memory usage, (2) ray stop --force was called, or (3) the worker crashed unexpectedly.
"""
LOW_MEMORY = """1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2) was \
6.60GB used / 23.54GB limit (0.280486)
Object store memory usage: [- objects spillable: 1
Considered workers: [
(Actor(59729300): job ID=01000000, task name=ImplicitFunc.__init__)]
"""
NODE_DIED = """The actor died unexpectedly before finishing this task.
The actor is dead because its node has died. Node Id: 73cd
"""
GROUP = """\x1b[36mray::ImplicitFunc.train()\x1b[39m (pid=1992, ip=192.0.2.2, repr=trial)
           ^^^^^^^^^^^^^^^^^^
  File "ray/train/v2/api/data_parallel_trainer.py", line 195, in fit
    raise result.error
ray.train.WorkerGroupError: Training failed due to worker errors:
[Rank 0 Error Snippet]:
  File "grid/trial.py", line 94, in work_together
    work(job, assignment, this_worker(), lambda loop: loop(), report)
    ^^^^
salun_grid.records.errors.Diverged: the loss of train epoch 1 is nan; try a learning rate below 0.1.
"""


SEGMENTATION_FAULT = """Fatal Python error: Segmentation fault

Thread 0x00007f (most recent call first):
  File "torch/autograd/graph.py", line 841 in _engine_run_backward
"""


def attempts(*texts: str) -> str:
    """As Tune writes them."""
    return "".join(f"Failure # {i + 1} (occurred at 2026-01-01_00-00-00)\n{text}\n" for i, text in enumerate(texts))


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (attempts(*[DIED] * 4), r"its process was killed or lost its connection, without .* \(4 attempts\)"),
        (with_evidence(attempts(DIED), SEGMENTATION_FAULT, 0), r"its process crashed with signal 11 \(SIGSEGV\)"),
        (
            with_evidence(attempts(DIED), "", 2),
            r"its process was killed .*; the kernel of this machine killed processes .* memory .*",
        ),
        (with_evidence(attempts(GROUP), "", 2), r"salun_grid.records.errors.Diverged: the loss .* below 0.1."),
        (attempts(DIED, LOW_MEMORY), r"its node ran low on memory and Ray killed .* \(2 attempts\)"),
        (attempts(LOW_MEMORY, NODE_DIED), r"its node died \(2 attempts\)"),
        (
            attempts(DIED, GROUP),
            r"salun_grid.records.errors.Diverged: the loss .* is nan; try a .* below 0.1. \(2 attempts\)",
        ),
        (attempts(GROUP), r"salun_grid.records.errors.Diverged: the loss .* below 0.1."),
        ("something else\n", "something else"),
    ],
)
def test_what_ray_says_of_a_failed_trial(reason: str, line: str) -> None:
    assert re.fullmatch(line, in_one_line(reason))


def raises_while_it_handles() -> None:
    try:
        print(1 / 0)
    except ZeroDivisionError:
        raise ValueError("first line\nsecond line\n\n  third line") from None


# The one of CUDA cannot be had without a GPU; this is its class and the form of its message.
def runs_out_of_gpu_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1 GiB.")


@pytest.mark.parametrize(
    ("do", "line"),
    [
        (lambda: Path("/none/there").read_bytes(), "FileNotFoundError: [Errno 2] No such file or directory: '/none/th"),
        (raises_while_it_handles, "ValueError: first line second line third line"),
        (runs_out_of_gpu_memory, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0"),
        (lambda: torch.empty(10**15), "RuntimeError: [enforce fail at alloc_cpu.cpp"),
    ],
)
def test_the_exception_of_a_job_that_raises(do: object, line: str) -> None:
    assert in_one_line(failure(do)).startswith(line)


def test_a_long_message_is_cut() -> None:
    def complain() -> None:
        raise ValueError(1000 * "x ")

    assert in_one_line(failure(complain)) == f"ValueError: {144 * 'x '} …"


SIGNALS = {"SIGSEGV": "signal 11", "SIGABRT": "signal 6", "SIGBUS": "signal 7"}

# Imports once, then a child for each signal, which dies of it while it records crashes in FOLDER/logs/SIGNAL.
DIE = """
import os, signal, sys
from pathlib import Path
from salun_grid.grid.on_ray.trial import crashes_recorded
folder, *names = sys.argv[1:]
for name in names:
    child = os.fork()
    if not child:
        with crashes_recorded(Path(folder, "logs", name)):
            os.kill(os.getpid(), getattr(signal, name))
    print(name, os.WIFSIGNALED(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what each signal left."""
    folder = tmp_path_factory.mktemp("crashes")
    command = [sys.executable, "-c", DIE, str(folder), *SIGNALS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"{name} True\n" for name in SIGNALS), done.stderr
    return folder / "logs"


@pytest.mark.slow
@pytest.mark.parametrize("signal", SIGNALS)
def test_a_fatal_signal_is_recorded_and_named(signal: str, crashes: Path) -> None:
    assert SIGNALS[signal] in in_one_line(with_evidence(attempts(DIED), (crashes / signal).read_text(), 0))


def test_a_job_that_ends_leaves_no_record(tmp_path: Path) -> None:
    with crashes_recorded(tmp_path / "logs" / "a.crash"):
        pass
    assert list((tmp_path / "logs").iterdir()) == []
