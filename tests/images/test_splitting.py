"""The split by patient: its properties over many sources, its seed, and what it refuses."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salun_grid.images.entries import Entry
from salun_grid.images.splitting import Fractions, given_split, split_of
from salun_grid.records.errors import InputError

SETTINGS = settings(derandomize=True, database=None, deadline=None, max_examples=150)
SPLITS = {"train", "val", "test"}


def entries_of(patients: list[dict[str, int]]) -> list[Entry]:
    """One entry per image; `patients` has the number of images of each class for each patient."""
    found = [(f"p{i}", label) for i, own in enumerate(patients) for label, count in own.items() for _ in range(count)]
    return [Entry(Path(f"{n}.png"), f"{n}.png", label, "", patient) for n, (patient, label) in enumerate(found)]


def images(*labels: str) -> list[Entry]:
    return [Entry(Path(str(i)), str(i), label) for i, label in enumerate(labels)]


patients_of_one_class = st.lists(
    st.builds(lambda label, count: {label: count}, st.sampled_from("abc"), st.integers(1, 9)), min_size=40, max_size=120
)
patients_of_many = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), min_size=1), min_size=40, max_size=120
)
fractions = st.builds(Fractions, st.floats(0.1, 0.3), st.floats(0.1, 0.3), st.integers(0, 2**31 - 1))


@SETTINGS
@given(patients=st.one_of(patients_of_one_class, patients_of_many), asked=fractions)
def test_every_image_has_a_split_and_no_patient_has_two(patients: list[dict[str, int]], asked: Fractions) -> None:
    entries = entries_of(patients)
    splits = split_of(entries, asked)
    assert len(splits) == len(entries) and set(splits) == SPLITS
    of_patient = defaultdict(set)
    for entry, split in zip(entries, splits, strict=True):
        of_patient[entry.patient].add(split)
    assert all(len(found) == 1 for found in of_patient.values())
    assert splits == split_of(entries, asked)


@SETTINGS
@given(patients=patients_of_one_class, asked=fractions)
def test_each_class_has_its_fraction_within_twice_its_largest_patient(
    patients: list[dict[str, int]], asked: Fractions
) -> None:
    entries = entries_of(patients)
    found = Counter(zip(split_of(entries, asked), (entry.label for entry in entries), strict=True))
    for label, total in Counter(entry.label for entry in entries).items():
        largest = max(own.get(label, 0) for own in patients)
        for split, fraction in asked.by_split.items():
            assert abs(found[split, label] - fraction * total) < 2 * largest


@pytest.mark.parametrize("seed", range(20))
def test_without_patients_each_class_is_split_exactly(seed: int) -> None:
    entries = images(*("a" * 1000 + "b" * 100 + "c" * 10))
    found = Counter(zip(split_of(entries, Fractions(seed=seed)), (entry.label for entry in entries), strict=True))
    for label, total in (("a", 1000), ("b", 100), ("c", 10)):
        assert [found[split, label] for split in ("train", "val", "test")] == [0.7 * total, 0.1 * total, 0.2 * total]


def test_a_class_of_one_image_is_trained() -> None:
    for seed in range(50):
        assert split_of(images(*("a" * 20 + "b")), Fractions(seed=seed))[-1] == "train"


def test_the_seed_decides_who_is_tested() -> None:
    entries = entries_of([{"ab"[i % 2]: 1 + i % 5} for i in range(60)])
    drawn = {tuple(split_of(entries, Fractions(seed=seed))) for seed in range(20)}
    assert len(drawn) == 20


def test_large_patients_are_tested_as_often_as_small_ones() -> None:
    """An order by size would train on all of the large ones."""
    entries = entries_of([{"a": 1 + 9 * (i % 2)} for i in range(60)])
    tested = Counter()
    for seed in range(100):
        splits = split_of(entries, Fractions(seed=seed))
        chosen = {entry.patient for entry, split in zip(entries, splits, strict=True) if split == "test"}
        tested.update(int(patient[1:]) % 2 for patient in chosen)
    assert 0.5 < tested[1] / tested[0] < 2


def test_mixed_patients_are_nearly_stratified() -> None:
    entries = entries_of([{"a": 3, "b": 1 + i % 2} if i % 3 else {"c": 4} for i in range(150)])
    totals = Counter(entry.label for entry in entries)
    for seed in range(20):
        found = Counter(zip(split_of(entries, Fractions(seed=seed)), (entry.label for entry in entries), strict=True))
        assert all(abs(found["test", label] / totals[label] - 0.2) < 0.05 for label in totals)


def test_too_few_patients_for_three_splits() -> None:
    with pytest.raises(InputError, match="2 patients are too few for the split"):
        split_of(entries_of([{"a": 5}, {"b": 5}]), Fractions())
    with pytest.raises(InputError, match="2 images are too few"):
        split_of(images("a", "b"), Fractions())


@pytest.mark.parametrize(
    ("val", "test", "seed", "sentence"),
    [
        (0, 0.2, 0, "--val must be a fraction"),
        (0.1, 1, 0, "--test must be a fraction"),
        (float("nan"), 0.2, 0, "--val must be a fraction"),
        (0.1, float("inf"), 0, "--test must be a fraction"),
        (0.5, 0.5, 0, "leave no images for training"),
        (0.1, 0.2, -1, "--seed must be a whole number"),
    ],
)
def test_fractions_outside_their_range(val: float, test: float, seed: int, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Fractions(val, test, seed)


def test_a_given_split_needs_all_three() -> None:
    entries = [Entry(Path("a"), "a", "x", split) for split in ("train", "test")]
    with pytest.raises(InputError, match=r"t\.csv has no image of the split val"):
        given_split("t.csv", entries)
