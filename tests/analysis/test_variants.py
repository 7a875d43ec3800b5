"""Variants of a method are named by the settings that differ, and only by those."""

import json

import pytest

from salun_grid.analysis.variants import differing, settings_of, variant_name
from salun_grid.analysis.view import Results
from salun_grid.records.text import natural_order
from tests.support.folders import Run, make_grid, make_run

DEFAULTS = {"epochs": 10, "batch_size": 256, "learning_rate": 0.013, "mask_mode": "leaky", "momentum": 0.9}


def variants(*changes: dict, **cell: object) -> list[Run]:
    """A row of salun for each set of changed settings, with the retrain of the cell."""
    params = [json.dumps(DEFAULTS | change, sort_keys=True) for change in changes]
    retrain = make_run(method="retrain", **cell)
    return [retrain, *(make_run(method_params=text, **cell) for text in params)]


def names(runs: list[Run]) -> list[str]:
    return [summary.method for summary in Results.of(runs).summaries if summary.base == "salun"]


def test_four_learning_rates_are_named_by_their_learning_rate_in_order_of_value() -> None:
    rates = (0.1, 0.013, 1e-05, 0.002)
    expected = [f"salun learning_rate={rate}" for rate in (1e-05, 0.002, 0.013, 0.1)]
    runs = variants(*({"learning_rate": rate} for rate in rates))
    assert names(runs) == expected
    ordered = [
        json.loads(run["method_params"])["learning_rate"] for run in Results.of(runs).runs if run["method"] == "salun"
    ]
    assert ordered == sorted(rates)


def test_every_setting_that_differs_is_named_and_no_other() -> None:
    runs = variants({"epochs": 9}, {"epochs": 10, "mask_mode": "hard"}, {"epochs": 10})
    assert names(runs) == [
        "salun epochs=9 mask_mode=leaky",
        "salun epochs=10 mask_mode=hard",
        "salun epochs=10 mask_mode=leaky",
    ]


def test_a_variant_has_one_name_in_every_group_and_a_single_set_of_settings_has_none() -> None:
    both = variants({"epochs": 5}, {"epochs": 9})
    one = variants({"epochs": 5}, augmentation="default")
    assert names(both + one) == ["salun epochs=5", "salun epochs=9", "salun epochs=5"]
    assert names(variants({"epochs": 5}) + variants({"epochs": 9}, augmentation="default")) == ["salun", "salun"]


@pytest.mark.parametrize("odd", ["", "[1]", "{", "null", '{"epochs": 5, "new": [1, {"a": "ä"}]}'])
def test_settings_that_are_no_object_or_that_others_lack_still_give_two_names(odd: str) -> None:
    texts = [json.dumps(DEFAULTS), odd]
    by = differing(("", "salun", text) for text in texts)
    assert len({variant_name("salun", text, by) for text in texts}) == 2


def test_numbers_that_compare_equal_but_differ_in_kind_are_two_values() -> None:
    by = differing(("", "m", text) for text in ('{"a": 1}', '{"a": true}'))
    assert by == {"m": ["a"]}
    assert settings_of('{"a": true, "b": "x"}') == {"a": "true", "b": "x"}


def test_names_sort_by_the_numbers_in_them() -> None:
    names = {"b", "a rate=0.5", "a epochs=10", "a rate=1e-05", "a epochs=2"}
    assert sorted(names, key=natural_order) == ["a epochs=2", "a epochs=10", "a rate=1e-05", "a rate=0.5", "b"]


def test_the_methods_own_name_finds_its_row_of_the_paper_and_the_controls_keep_theirs() -> None:
    runs = make_grid(methods=("retrain", "retrain-again", "original")) + variants({"epochs": 5}, {"epochs": 9})[1:]
    assert [s.method for s in Results.of(runs).summaries][:3] == ["retrain", "retrain-again", "original"]
