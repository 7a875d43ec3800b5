"""Cells, jobs and keys: what is shared, what changes a key, and what must not."""

import hashlib
import json
import shlex
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulation import study_of
from salun_grid.grid import keys
from salun_grid.grid.cli import main
from salun_grid.grid.commands import chosen_study
from salun_grid.grid.cost import GPU
from salun_grid.grid.graph import JobGraph
from salun_grid.grid.plan import Plan, finished_jobs, make_plan, missing_jobs
from salun_grid.grid.provenance import repeat_command
from salun_grid.grid.specs import Train, Unlearn
from salun_grid.grid.store import Store
from salun_grid.grid.study import STUDIES, Study, checked, narrowed
from salun_grid.records.errors import InputError
from salun_grid.records.question import Question
from salun_grid.records.studies import declared_question, read_studies
from salun_grid.trainables.architectures import ARCHITECTURES
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.protocol import Protocol
from salun_grid.trainables.settings import changed, settings_of
from tests.support.studies import small_study

# Fields that name a protocol; they change no result.
NAMES = {"name"}
# The protocol's sections that each kind of key reads, besides those of the spec that it needs.
READS = {
    "training": ("image_size", "model.", "training.", "augmentation."),
    "unlearning": ("unlearning.", "saliency."),
    "evaluation": ("evaluation.",),
}


def kinds(plan: Plan) -> dict[str, int]:
    found = [type(job).__name__ for job in plan.jobs.values()]
    return {kind: found.count(kind) for kind in sorted(set(found))}


def keys_by_label(study: Study) -> dict[str, str]:
    return {job.label: job.key for job in make_plan(study).jobs.values()}


def test_originals_are_shared_by_rates_and_methods(small_npz: Path) -> None:
    study = small_study(
        small_npz, forget_sets=("random:0.1", "random:0.5"), augmentations=("none", "default"), seeds=(0, 1)
    )
    plan = make_plan(study)
    assert plan.num_cells == 2 * 2 * 2 * 4
    assert kinds(plan) == {"Evaluate": 32, "Train": 4 + 16, "Unlearn": 8}
    # Each of the 8 groups of 4 cells would train 4 models, an original more for SalUn.
    assert plan.num_jobs_unshared - len(plan.jobs) == 16 - 4


def test_the_paper_study_has_the_papers_cells() -> None:
    plan = make_plan(STUDIES["paper"])
    assert plan.num_cells == 3 * 2 * 3 * 1 * 4
    assert kinds(plan) == {"Evaluate": 72, "Train": 9 + 36, "Unlearn": 18}
    salun = [job for job in plan.jobs.values() if isinstance(job, Unlearn) and job.data.name == "bloodmnist"]
    assert {job.work.train_images for job in salun} == {10 * 11959 + 1196, 10 * 11959 + 5980}


def test_a_job_comes_after_what_it_needs(small_npz: Path) -> None:
    seen: set[str] = set()
    for key, job in make_plan(small_study(small_npz, seeds=(0, 1))).jobs.items():
        assert {need.key for need in job.needs} <= seen
        assert bool(job.needs) != isinstance(job, Train)
        seen.add(key)


def test_without_unlearning_methods_no_original_is_trained(small_npz: Path) -> None:
    plan = make_plan(small_study(small_npz, methods=("retrain", "retrain-again")))
    assert {job.method for job in plan.jobs.values()} == {"retrain", "retrain-again"}


def test_every_run_finds_its_retrain(small_npz: Path) -> None:
    plan = make_plan(small_study(small_npz, forget_sets=("random:0.1", "random:0.5")))
    for cell in plan.cells:
        retrain = plan.jobs[cell.retrain.key]
        assert (retrain.method, retrain.forget) == ("retrain", cell.forget)
        assert cell.original.key in plan.jobs


def test_the_noise_floor_differs_in_every_seed_but_the_forget_sets(small_npz: Path) -> None:
    jobs = {job.method: job for job in make_plan(small_study(small_npz)).jobs.values() if isinstance(job, Train)}
    first, again = jobs["retrain"].seeds, jobs["retrain-again"].seeds
    assert jobs["retrain"].forget == jobs["retrain-again"].forget
    assert first.forget == again.forget
    assert first.initialisation != again.initialisation
    assert first.order != again.order
    assert first.augmentation != again.augmentation
    assert jobs["retrain"].key != jobs["retrain-again"].key


@pytest.mark.parametrize("field", sorted({each.name for each in settings_of(Protocol)} - NAMES))
def test_a_protocol_field_changes_the_keys_of_its_own_users_alone(
    field: str, small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARCHITECTURES, "twin", ARCHITECTURES["resnet18"])
    study = small_study(small_npz, augmentations=("default+ra",))
    value = getattr_dotted(study.protocol, field)
    other = {
        "model.stem": "imagenet",
        "model.architecture": "twin",
        "training.optimizer": "adamw",
        "training.schedule": "cosine",
        "model.precision": "bf16",
        "saliency.mode": "hard",
        "unlearning.epochs": 7,
        "unlearning.batch_size": 7,
        "unlearning.learning_rate": 0.5,
        "unlearning.momentum": 0.5,
        "unlearning.weight_decay": 0.5,
        "model.pixel_std": 0.7,
        "training.momentum": 0.5,
        "training.weight_decay": 0.5,
        "training.decay_factor": 0.5,
        "saliency.fraction": 0.7,
        "augmentation.crop_padding": 0.7,
        "augmentation.flip_probability": 0.7,
        "evaluation.mia_non_members": "val",
        "evaluation.mia_members": "balanced",
        "training.milestones": "0.25",
        "image_size": 16,
    }.get(field) or type(value)(value + 1)
    changed_study = replace(study, protocol=changed(study.protocol, field, other))
    before, after = keys_by_label(study), keys_by_label(changed_study)
    moved = {label.partition(" · ")[0] for label in before if before[label] != after[label]}
    everything = {label.partition(" · ")[0] for label in before}
    (reader,) = [kind for kind, names in READS.items() if field.startswith(names)]
    expected = {
        "training": everything,
        "unlearning": {"salun 10%", "evaluation of salun 10%"},
        "evaluation": {label for label in everything if label.startswith("evaluation")},
    }
    assert moved == expected[reader]


def getattr_dotted(owner: object, dotted: str) -> object:
    for name in dotted.split("."):
        owner = getattr(owner, name)
    return owner


def test_the_protocols_name_changes_no_key(small_npz: Path) -> None:
    study = small_study(small_npz)
    renamed = replace(study, name="other", protocol=replace(study.protocol, name="other"))
    assert keys_by_label(study) == keys_by_label(renamed)


def test_the_files_place_changes_no_key_and_its_pixels_do(small_npz: Path, tmp_path: Path) -> None:
    copy = tmp_path / "sub" / "small.npz"
    copy.parent.mkdir()
    copy.write_bytes(small_npz.read_bytes())
    assert keys_by_label(small_study(small_npz)) == keys_by_label(small_study(copy))
    import numpy as np

    arrays = dict(np.load(copy))
    arrays["test_images"][0, 0, 0] ^= 1
    np.savez(copy, **arrays)
    assert set(keys_by_label(small_study(small_npz)).values()).isdisjoint(keys_by_label(small_study(copy)).values())


# Of the keys in plan order, a line each: sha256, 16 digits. A change here makes everyone's results old: raise
# FORMAT_VERSION where the results change, and find the mistake where they do not.
KEYS = {"digits": "a3a1ade35e8fb691", "paper": "492b108e49ab7896", "strict": "2b268aade013b941"}


@pytest.mark.parametrize("name", KEYS)
def test_the_built_in_studies_keep_their_keys(name: str) -> None:
    lines = "\n".join(make_plan(STUDIES[name]).jobs)
    assert hashlib.sha256(lines.encode()).hexdigest()[:16] == KEYS[name]


def test_nothing_is_hashed_twice(small_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    hash_of = keys.hash_of

    def counted(parts: dict[str, object]) -> str:
        hashed.append(json.dumps(parts))
        return hash_of(parts)

    monkeypatch.setattr(keys, "hash_of", counted)
    make_plan(small_study(small_npz, forget_sets=("random:0.1", "random:0.5"), seeds=(0, 1)))
    assert len(hashed) == len(set(hashed))


def bytes_a_job(num_cells: int) -> float:
    tracemalloc.start()
    plan = make_plan(study_of(num_cells))
    graph = JobGraph(plan.jobs.values(), set(), GPU.seconds_of)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / len(graph.jobs)


def test_a_large_plan_takes_no_more_memory_a_job_than_a_small_one() -> None:
    make_plan(study_of(100))  # imports and caches
    assert bytes_a_job(10_000) < 1.2 * bytes_a_job(1_000)


def test_augmentation_strengths_leave_unaugmented_keys_alone(small_npz: Path) -> None:
    study = small_study(small_npz)
    stronger = replace(study, protocol=changed(study.protocol, "augmentation.crop_padding", 0.25))
    assert keys_by_label(study) == keys_by_label(stronger)


def test_an_empty_forget_set_is_refused(small_npz: Path) -> None:
    with pytest.raises(InputError, match="empty forget set"):
        make_plan(small_study(small_npz, forget_sets=("random:0.001",)))
    with pytest.raises(InputError, match="empty retain set"):
        make_plan(small_study(small_npz, forget_sets=("random:0.999",)))


def test_what_is_published_is_not_missing(small_npz: Path, tmp_path: Path) -> None:
    plan, store = make_plan(small_study(small_npz)), Store(str(tmp_path / "out"))
    store.create()
    assert [job.key for job in missing_jobs(plan, store)] == list(plan.jobs)
    original = next(key for key, job in plan.jobs.items() if job.method == "original")
    store.publish_model(original, b"", {})
    assert finished_jobs(plan, store) == {original}
    assert original not in {job.key for job in missing_jobs(plan, store)}


def test_the_summary_holds_the_command_of_the_whole_study(small_npz: Path) -> None:
    study = narrowed(STUDIES["digits"], {"datasets": (str(small_npz),), "seeds": (3, 4)}, [])
    command = make_plan(study).summary()["command"]
    assert shlex.split(command) == [
        "salun-grid",
        "run",
        "digits",
        "--dataset",
        str(small_npz),
        "--seed",
        "3",
        "--seed",
        "4",
    ]


def test_the_summary_declares_the_question_and_its_family(small_npz: Path, tmp_path: Path) -> None:
    axes = {"datasets": (str(small_npz),), "methods": ("retrain", "original", "salun", "scrub:alpha=0.9")}
    study = checked(replace(narrowed(STUDIES["digits"], axes, []), question=Question("mia", 2.5)))
    store = Store(str(tmp_path))
    store.publish_study(make_plan(study).summary())
    studies, damaged = read_studies(store.place)
    assert declared_question(studies) == Question("mia", 2.5, ("salun", "scrub:alpha=0.9"))
    assert not damaged
    assert [found.key for found in make_plan(study).cells] == [
        found.key for found in make_plan(replace(study, question=Question())).cells
    ]


def test_the_command_of_a_row_plans_that_row_again(small_npz: Path) -> None:
    """With the settings of its variant, whatever else the study has."""
    methods = ("retrain", "original", "salun", "salun:learning_rate=0.01,mask.fraction=0.3", "scrub:alpha=0.9")
    axes = {"datasets": (str(small_npz),), "methods": methods, "augmentations": ("default",)}
    study = checked(narrowed(STUDIES["digits"], axes, ["model.width=4"]))
    for cell in make_plan(study).cells:
        program, command, *words = shlex.split(repeat_command(study, cell))
        assert (program, command) == ("salun-grid", "run")
        context = main.commands["run"].make_context("run", words)
        options = {name: value for name, value in context.params.items() if name not in RUN_OPTIONS}
        again, _ = chosen_study(options)
        assert [found.key for found in make_plan(again).cells] == [cell.key]


# Options of `run` that choose no study.
RUN_OPTIONS = {"address", "allow_open_cluster", "cpus_per_job", "gpus_per_job", "workers", "compile", "detail"}


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.forget_rules])
def test_a_method_for_whole_classes_refuses_other_forget_sets(small_npz: Path, method: str) -> None:
    sets = ("class:0", "random:0.1")
    with pytest.raises(InputError, match=rf"method {method} cannot forget random:0\.1; give --forget class:3"):
        make_plan(small_study(small_npz, methods=("retrain", method), forget_sets=sets))
    plan = make_plan(small_study(small_npz, methods=("retrain", method), forget_sets=sets[:1]))
    assert {job.forget.label for job in plan.jobs.values() if isinstance(job, Unlearn)} == {"class:0"}
