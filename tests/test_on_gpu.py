"""The benchmark for a GPU at tiny size on the CPU: resumable by part, without Ray, and bad input writes nothing."""

import json
import os
import subprocess
import sys
import time
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import gpu_memory, gpu_parts, gpu_study, gpu_tests, on_gpu
from benchmarks.gpu_machine import ROOT, facts
from benchmarks.gpu_page import page
from benchmarks.gpu_parts import PARTS, Settings, kept, run_part
from benchmarks.gpu_training import RESEARCH
from benchmarks.gpu_variants import NEEDS_CUDA, NO_TIME, TINY, complete, measured

CUDA = torch.cuda.is_available()
AGES = partial(float, 3600)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Parts run here, not in processes of their own; the names of those that ran."""
    ran: list[str] = []

    def run_one(name: str, settings: Settings, out: Path, deadline: float) -> str:
        ran.append(name)
        run_part(name, settings, out, lambda: deadline - time.monotonic())
        return ""

    monkeypatch.setattr(on_gpu, "run_one", run_one)
    return ran


def run(out: Path, *words: object) -> int:
    return on_gpu.main(["--tiny", "--repetitions", "1", "--out", str(out), *map(str, words)])


# --- without Ray ------------------------------------------------------------------------------------------------


@pytest.fixture
def without_ray(tmp_path: Path) -> dict[str, str]:
    """An environment in which every process finds Ray and MedMNIST's package not installed."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for package in ("ray", "medmnist"):
        (blocked / f"{package}.py").write_text("raise ModuleNotFoundError('not installed, says the test')\n")
    return os.environ | {"PYTHONPATH": str(blocked)}


@pytest.mark.slow
def test_the_command_works_and_each_part_imports_without_ray(
    tmp_path: Path, small_npz: Path, without_ray: dict[str, str]
) -> None:
    """Each part imports a module of its own, and the command runs one of them."""
    modules = sorted(path.stem for path in (ROOT / "benchmarks").glob("*gpu*.py"))
    assert len(modules) >= 9
    code = f"from benchmarks import {', '.join(modules)}; raise SystemExit(on_gpu.main())"
    out = tmp_path / "out"
    options = ["--tiny", "--parts", "study", "--images", str(small_npz), "--out", str(out)]
    command = [sys.executable, "-c", code, *options]
    done = subprocess.run(command, cwd=ROOT, env=without_ray, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((out / "on_gpu.json").read_text())
    assert report["failed"] == {} and report["parts"]["study"]["complete"]
    rows = {row["method"]: row for row in report["parts"]["study"]["result"]["rows"]}
    assert list(rows) == ["retrain", "original", "salun"]
    assert rows["retrain"]["ag"] == 0 and rows["salun"]["ag"] is not None
    assert rows["original"]["rte_minutes"] == 0 < rows["salun"]["rte_minutes"]


@pytest.mark.slow
def test_the_gpu_tests_are_found_and_run_without_ray(
    without_ray: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", without_ray["PYTHONPATH"])
    found = gpu_tests.run_tests(600)
    assert found["failures"] == {} and found["counts"]["passed" if CUDA else "skipped"] >= 15


def test_the_block_on_ray_is_a_block(without_ray: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", "import ray"], env=without_ray, capture_output=True, text=True)
    assert done.returncode == 1 and "says the test" in done.stderr


# --- the parts --------------------------------------------------------------------------------------------------


def test_the_measuring_parts_at_tiny_size(
    tmp_path: Path, in_this_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    assert run(tmp_path, "--parts", "bf16", "salun") == 0
    (case,) = (kept("bf16", tmp_path) or {})["result"]["cases"]
    assert {RESEARCH, "ours, bf16", "ours, bf16, compiled"} <= set(case["seconds"]), case["failed"]
    if not CUDA:
        graphs = ("ours, bf16, CUDA graphs", "ours, bf16, compiled with CUDA graphs")
        assert case["failed"] == dict.fromkeys(graphs, NEEDS_CUDA)
    salun = (kept("salun", tmp_path) or {})["result"]["cases"]
    assert len(salun) == 4 and all(len(case["seconds"]) >= 2 and not case["failed"] for case in salun)
    text = (tmp_path / "on_gpu.md").read_text()
    assert "Rehearsal" in text and "### SalUn in parts" in text and f"torch {torch.__version__}" in text
    if not CUDA:
        assert "| ours, bf16, CUDA graphs | needs CUDA | 0 |" in text


def test_memory_and_syncs_of_an_epoch() -> None:
    found = gpu_memory.measure("SalUn, ours, bf16", TINY)
    assert found["host_mib"] > 50
    assert (found["syncs_per_epoch"] is None) == (not CUDA)


def test_each_warning_of_a_sync_is_counted() -> None:
    syncs: list[str] = []
    with gpu_memory.counted_syncs(syncs):
        for message in (gpu_memory.SYNC, "something else", gpu_memory.SYNC):
            gpu_memory.warnings.warn(message, UserWarning, stacklevel=1)
    assert len(syncs) == 2 and syncs[0].startswith("test_on_gpu.py:")


def test_failed_gpu_tests_are_counted(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(
        '<testsuites><testsuite><testcase classname="t" name="a"/><testcase classname="t" name="b">'
        '<failure message="assert 1 == 2"/></testcase><testcase classname="t" name="c"><skipped/></testcase>'
        '<testcase classname="t" name="d"><error message="No module named ray"/></testcase></testsuite></testsuites>'
    )
    counts, failures = gpu_tests.outcomes(junit)
    assert counts == {"passed": 1, "failed": 2, "skipped": 1}
    assert failures == {"t.b": "assert 1 == 2", "t.d": "No module named ray"}


# --- variants ---------------------------------------------------------------------------------------------------


def broken() -> Any:
    raise RuntimeError("CUDA error:\nan illegal | access")


def test_a_variant_that_raises_leaves_the_others() -> None:
    variants = {"reference": lambda: int, "broken": broken, "ours": lambda: int}
    case = measured("case", "images", 8, variants, 3, AGES)
    assert case.variants == ["reference", "ours", "broken"] and complete(case)
    assert {name: len(seconds) for name, seconds in case.seconds.items()} == {"reference": 3, "ours": 3}
    assert case.failed == {"broken": "RuntimeError: CUDA error: an illegal | access"}
    report = {"parts": {"fp32": part_of([case.to_json()])}, "failed": {"memory": "exit status 1: a | b"}}
    assert "| broken | RuntimeError: CUDA error: an illegal \\| access | 0 |" in page(report)
    assert "Part `memory` failed: exit status 1: a \\| b." in page(report)


def part_of(cases: list[dict[str, Any]]) -> dict[str, Any]:
    return {"complete": True, "facts": facts(), "settings": {"tiny": False}, "result": {"cases": cases}}


def test_without_time_a_variant_waits_for_the_rerun() -> None:
    left = chain([1.0, 0.0, 1.0, 0.0], repeat(0.0))
    case = measured("case", "images", 8, {"reference": lambda: int, "ours": lambda: int}, 3, partial(next, left))
    assert case.failed == {"ours": NO_TIME} and len(case.seconds["reference"]) == 1 and not complete(case)


# --- resuming ---------------------------------------------------------------------------------------------------


def test_a_rerun_repeats_only_what_is_not_complete(
    tmp_path: Path, in_this_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = {"tests": True, "salun": False}
    for name, done in outcomes.items():
        result = {"cases": [], "counts": {"passed": 1, "failed": 0, "skipped": 0}, "failures": {}}
        monkeypatch.setitem(PARTS, name, lambda *arguments, done=done, result=result: (result, done))
    for expected in (["tests", "salun"], ["salun"]):
        in_this_process.clear()
        assert run(tmp_path, "--parts", "tests", "salun") == 0
        assert in_this_process == expected
    assert set(json.loads((tmp_path / "on_gpu.json").read_text())["parts"]) == {"tests", "salun"}


def test_a_part_that_fails_is_reported_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = [sys.executable, "-c", "raise SystemExit('out of memory')"]
    monkeypatch.setattr(on_gpu, "command", lambda *arguments: failing)
    assert run(tmp_path, "--parts", "fp32") == 1
    assert "fp32: failed: exit status 1: out of memory" in capsys.readouterr().out
    assert kept("fp32", tmp_path) is None
    assert "Part `fp32` failed" in (tmp_path / "on_gpu.md").read_text()


def study_in(folder: Path, images: Path, time_left: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    settings = Settings(tiny=True, images=str(images), precision="fp32", epochs=3)
    return gpu_study.slice_of_study(gpu_study.Work(settings, folder, time_left, seconds_between_states=0))


def test_a_study_in_slices_ends_where_one_at_a_time_does(tmp_path: Path, small_npz: Path) -> None:
    whole = study_in(tmp_path / "whole", small_npz, AGES)
    assert whole["complete"] and whole["unfinished"] == {}
    # Each slice has time to begin and ends with the first state that it saves.
    slices = [study_in(tmp_path / "slices", small_npz, partial(next, chain([1.0], repeat(0.0)))) for _ in range(2)]
    assert [found["unfinished"] for found in slices] == [{"original": 1}, {"original": 2}]
    assert slices[0]["rows"] == [] and not slices[0]["complete"]
    assert study_in(tmp_path / "slices", small_npz, AGES)["complete"]
    for name in gpu_study.NAMES:
        found, wanted = (load_file(tmp_path / folder / f"{name}.safetensors") for folder in ("slices", "whole"))
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert sorted(path.suffix for path in (tmp_path / "slices").iterdir()) == [".json"] * 3 + [".safetensors"] * 3


def test_a_study_without_its_retrain_has_rows_without_gaps(tmp_path: Path, small_npz: Path) -> None:
    study_in(tmp_path, small_npz, AGES)
    (tmp_path / "retrain.json").unlink()
    found = study_in(tmp_path, small_npz, lambda: 0.0)
    assert [(row["method"], row["ag"]) for row in found["rows"]] == [("original", None), ("salun", None)]
    part = {"complete": False, "facts": facts(), "settings": {"tiny": False}, "result": found}
    assert "n = 1, so no verdict. Unfinished." in page({"parts": {"study": part}, "failed": {}})


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images", "none.npz"], "no dataset file at none.npz"),
        (["--images", "none.png"], "--images must be an .npz file"),
        (["--images", "SMALL", "--forget-rate", "1.5"], "forget rate must lie between 0 and 1"),
        (["--images", "SMALL", "--forget-rate", "0.0001"], "gives an empty forget set"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    tmp_path: Path, small_npz: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    out = tmp_path / "out"
    assert run(out, *(str(small_npz) if word == "SMALL" else word for word in words)) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and said.out == ""
    assert not out.exists()


@pytest.mark.parametrize("words", [["--minutes", "0"], ["--epochs", "0"], ["--parts", "none"], ["--minutes", "nan"]])
def test_bad_options_end_with_status_2(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path / "out", *words)
    assert stopped.value.code == 2 and not (tmp_path / "out").exists()


@pytest.mark.skipif(CUDA, reason="a machine without CUDA is refused")
def test_without_cuda_only_the_rehearsal_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert on_gpu.main(["--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("No CUDA device found; use --tiny")
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("kept")
    assert run(tmp_path / "file") == 2
    assert "is not a folder" in capsys.readouterr().err and (tmp_path / "file").read_text() == "kept"


def test_numbers_of_another_device_are_not_mixed_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of_tests = {"facts": facts() | {"device": "NVIDIA H1"}, "settings": {"tiny": True, "repetitions": 1}}
    path = gpu_parts.path_of("tests", tmp_path)
    path.parent.mkdir()
    path.write_text(json.dumps(run_of_tests))
    assert run(tmp_path, "--parts", "salun") == 2
    assert "was measured with device NVIDIA H1, not" in capsys.readouterr().err


def test_another_study_in_the_same_folder_is_refused(
    tmp_path: Path, small_npz: Path, in_this_process: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--parts", "study", "--images", small_npz]
    assert run(tmp_path, *words) == 0
    assert run(tmp_path, *words, "--seed", 1) == 2
    assert "contains a study of other images or settings" in capsys.readouterr().err
