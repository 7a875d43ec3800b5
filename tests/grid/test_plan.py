"""Cells, jobs and keys: what is shared, what changes a key, and what must not."""

import hashlib
import json
import shlex
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

import grid.plan
from benchmarks.simulation import study_of
from grid.cost import GPU, seconds_of
from grid.graph import JobGraph
from grid.keys import key_of
from grid.plan import Plan, finished_jobs, make_plan, missing_jobs
from grid.store import Store
from grid.study import STUDIES, Study, narrowed
from tests.grid.studies import small_study
from trainables.errors import InputError
from trainables.protocol import changed, field_names

# Fields that name a protocol; they change no result.
NAMES = {"name"}
READ_BY_ALL = {"image_size", *(name for name in field_names() if name.startswith(("model.", "training.")))}


def kinds(plan: Plan) -> dict[str, int]:
    found = [job.kind for job in plan.jobs.values()]
    return {kind: found.count(kind) for kind in sorted(set(found))}


def keys_by_label(study: Study) -> dict[str, str]:
    return {job.label: job.key for job in make_plan(study).jobs.values()}


def test_originals_are_shared_by_rates_and_methods(small_npz: Path) -> None:
    study = small_study(small_npz, forget_rates=(0.1, 0.5), augmentations=("none", "default"), seeds=(0, 1))
    plan = make_plan(study)
    assert plan.num_cells == 2 * 2 * 2 * 4
    assert kinds(plan) == {"original": 4, "retrain": 16, "unlearn": 16}
    assert plan.num_jobs_unshared - len(plan.jobs) == 16 - 4


def test_the_paper_study_has_the_papers_cells() -> None:
    plan = make_plan(STUDIES["paper"])
    assert plan.num_cells == 3 * 2 * 3 * 1 * 4
    assert kinds(plan) == {"original": 9, "retrain": 36, "unlearn": 36}
    salun = [job for job in plan.jobs.values() if job.method == "salun" and job.dataset == "bloodmnist"]
    assert {job.train_images for job in salun} == {10 * 11959 + 1196, 10 * 11959 + 5980}


def test_a_job_comes_after_what_it_needs(small_npz: Path) -> None:
    seen: set[str] = set()
    for key, job in make_plan(small_study(small_npz, seeds=(0, 1))).jobs.items():
        assert set(job.needs) <= seen
        assert bool(job.needs) == (job.kind == "unlearn")
        seen.add(key)


def test_without_unlearning_methods_no_original_is_trained(small_npz: Path) -> None:
    assert kinds(make_plan(small_study(small_npz, methods=("retrain", "retrain-again")))) == {"retrain": 2}


def test_every_run_finds_its_retrain(small_npz: Path) -> None:
    jobs = make_plan(small_study(small_npz, forget_rates=(0.1, 0.5))).jobs
    for job in jobs.values():
        if job.kind != "original":
            assert jobs[job.retrain_key].method == "retrain"
            assert jobs[job.retrain_key].forget_rate == job.forget_rate


def test_the_noise_floor_differs_in_every_seed_but_the_forget_sets(small_npz: Path) -> None:
    jobs = {job.method: job for job in make_plan(small_study(small_npz)).jobs.values() if job.kind == "retrain"}
    first, again = jobs["retrain"].seeds, jobs["retrain-again"].seeds
    assert first.forget == again.forget
    assert first.initialisation != again.initialisation
    assert first.order != again.order
    assert first.augmentation != again.augmentation
    assert jobs["retrain"].model_key != jobs["retrain-again"].model_key


@pytest.mark.parametrize("field", sorted(set(field_names()) - NAMES))
def test_every_protocol_field_changes_a_key(field: str, small_npz: Path) -> None:
    study = small_study(small_npz, augmentations=("default+ra",))
    value = getattr_dotted(study.protocol, field)
    other = {
        "model.stem": "imagenet",
        "saliency.mode": "hard",
        "unlearning.order": "mixed",
        "evaluation.mia_non_members": "val",
        "evaluation.mia_members": "balanced",
        "training.milestones": "0.25",
        "image_size": 16,
    }.get(field, type(value)(value + 1) if not isinstance(value, str | tuple) else None)
    changed_study = replace(study, protocol=changed(study.protocol, field, other))
    before, after = keys_by_label(study), keys_by_label(changed_study)
    salun = next(label for label in before if label.startswith("salun"))
    original = next(label for label in before if label.startswith("original · "))
    assert before[salun] != after[salun]
    trains = field in READ_BY_ALL or field.startswith("augmentation.")
    assert (before[original] != after[original]) == trains


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
KEYS = {"demo": "12c15c4767939596", "paper": "076b1faaabbf90f4", "strict": "47fcb9a9d0968953"}


@pytest.mark.parametrize("name", KEYS)
def test_the_built_in_studies_keep_their_keys(name: str) -> None:
    lines = "\n".join(make_plan(STUDIES[name]).jobs)
    assert hashlib.sha256(lines.encode()).hexdigest()[:16] == KEYS[name]


def test_a_key_is_the_hash_of_sorted_json_without_blanks() -> None:
    text = b'{"format":2,"kind":"train","seeds":[1,null,0.1]}'
    assert key_of({"seeds": [1, None, 0.1], "kind": "train"}) == hashlib.sha256(text).hexdigest()[:20]


def test_nothing_is_hashed_twice(small_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def counted(parts: dict[str, object]) -> str:
        hashed.append(json.dumps(parts))
        return key_of(parts)

    monkeypatch.setattr(grid.plan, "key_of", counted)
    make_plan(small_study(small_npz, forget_rates=(0.1, 0.5), seeds=(0, 1)))
    assert len(hashed) == len(set(hashed))


def bytes_a_job(num_cells: int) -> float:
    tracemalloc.start()
    plan = make_plan(study_of(num_cells))
    graph = JobGraph(plan.jobs.values(), set(), seconds_of(plan, GPU))
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
        make_plan(small_study(small_npz, forget_rates=(0.001,)))
    with pytest.raises(InputError, match="empty retain set"):
        make_plan(small_study(small_npz, forget_rates=(0.999,)))


def test_what_is_published_is_not_missing(small_npz: Path, tmp_path: Path) -> None:
    plan, store = make_plan(small_study(small_npz)), Store(str(tmp_path / "out"))
    store.create()
    assert [job.key for job in missing_jobs(plan, store)] == list(plan.jobs)
    original = next(key for key, job in plan.jobs.items() if job.kind == "original")
    store.publish_model(original, b"", {})
    assert finished_jobs(plan, store) == {original}
    assert original not in {job.key for job in missing_jobs(plan, store)}


def test_the_summary_holds_the_command_of_the_whole_study(small_npz: Path) -> None:
    study = narrowed(STUDIES["demo"], {"datasets": (str(small_npz),), "seeds": (3, 4)}, [])
    command = make_plan(study).summary()["command"]
    assert shlex.split(command) == [
        "salun-grid",
        "run",
        "demo",
        "--dataset",
        str(small_npz),
        "--seed",
        "3",
        "--seed",
        "4",
    ]
