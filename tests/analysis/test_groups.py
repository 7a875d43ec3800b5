"""What counts as one group of rows, and what must be kept apart."""

import json

import pytest

from salun_grid.analysis.view import Results
from tests.support.folders import Run, make_grid, protocol_text


def two_protocols(**sections: dict) -> list[Run]:
    """The same cells twice, under protocols of one name that differ in the given sections."""
    ours = make_grid(protocol_json=protocol_text())
    return ours + make_grid(protocol_json=protocol_text(**sections), ua=50.0)


@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"pixel_mean": 0.1}},
        {"training": {"epochs": 5}},
        {"augmentation": {"crop_padding": 0.25}},
        {"evaluation": {"mia_members": "balanced"}},
    ],
    ids=lambda sections: next(iter(sections)),
)
def test_protocols_of_one_name_with_other_fields_are_kept_apart(sections: dict) -> None:
    summaries = Results.of(two_protocols(**sections)).summaries
    names = {s.group.protocol for s in summaries}
    assert len(names) == 2
    assert all(name.startswith("paper") for name in names)
    assert len(summaries) == 6
    assert all(s.seeds == (0, 1, 2) for s in summaries)
    for name in names:
        changed = {s.values["ua"].mean == 50.0 for s in summaries if s.group.protocol == name}
        assert len(changed) == 1


def test_names_that_tell_protocols_apart_do_not_depend_on_the_order_of_rows() -> None:
    runs = two_protocols(training={"epochs": 5})

    def names(rows: list[Run]) -> list[tuple[str, float]]:
        return [(s.group.protocol, s.values["ua"].mean) for s in Results.of(rows).summaries if s.method == "salun"]

    assert sorted(names(runs)) == sorted(names(runs[::-1]))


def test_image_sizes_are_kept_apart() -> None:
    runs = make_grid(image_size=28, protocol_json=protocol_text(image_size=28)) + make_grid()
    assert {(s.group.image_size, s.method) for s in Results.of(runs).summaries} == {
        (size, method) for size in (28, 64) for method in ("retrain", "original", "salun")
    }


def test_how_a_method_unlearns_does_not_split_the_group_and_shares_the_retrain() -> None:
    hard = {
        "protocol_json": protocol_text(saliency={"mode": "hard"}),
        "method_params": '{"mask_mode": "hard"}',
    }
    runs = make_grid(method_params='{"mask_mode": "leaky"}')
    runs = [run | {"method_params": "{}"} if run["method"] != "salun" else run for run in runs]
    runs += make_grid(methods=("salun",), **hard)
    summaries = Results.of(runs).summaries
    assert len({s.group for s in summaries}) == 1
    assert all(s.gaps["ag"].n == 3 for s in summaries)


def test_one_method_with_several_parameters_gives_a_summary_for_each() -> None:
    params = [json.dumps({"learning_rate": rate}) for rate in (0.01, 0.1)]
    runs = make_grid(methods=("retrain", "original"))
    for text, ua in zip(params, (5.0, 7.0), strict=True):
        runs += make_grid(methods=("salun",), method_params=text, ua=ua)
    summaries = Results.of(runs).summaries
    assert [s.method for s in summaries[:2]] == ["retrain", "original"]
    assert len(summaries) == 4
    by_value = {s.values["ua"].mean: s for s in summaries[2:]}
    for name, ua in (("salun learning_rate=0.01", 5.0), ("salun learning_rate=0.1", 7.0)):
        assert (by_value[ua].method, by_value[ua].base) == (name, "salun")
        assert by_value[ua].seeds == (0, 1, 2)
        assert by_value[ua].gaps["ag"].n == 3


def test_one_method_with_one_set_of_parameters_keeps_its_plain_name() -> None:
    summaries = Results.of(make_grid(method_params='{"learning_rate": 0.01}')).summaries
    assert [s.method for s in summaries] == ["retrain", "original", "salun"]


def test_the_noise_floor_comes_after_the_retrain_and_is_measured_against_it() -> None:
    summaries = Results.of(make_grid(methods=("salun", "original", "retrain-again", "retrain"))).summaries
    assert [s.method for s in summaries] == ["retrain", "retrain-again", "original", "salun"]
    retrain, again = summaries[:2]
    assert retrain.gaps["ag"].mean == 0.0
    for metric in ("ua", "ra", "ta", "mia"):
        assert again.gaps[metric].n == 3
        assert again.gaps[metric].mean > 0.0
