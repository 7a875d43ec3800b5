"""What holds for every forget rule, in each way to write it; and bad requests."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salun_grid.records.errors import InputError
from salun_grid.records.forget_label import forget_name, forget_order, is_forget_label
from salun_grid.trainables.data import TrainImages, describe, load
from salun_grid.trainables.dataset import DatasetInfo
from salun_grid.trainables.forget import FORGET_RULES, ForgetSet, parse_rule, retain_set
from salun_grid.trainables.forget.by_group import GroupShare
from tests.support.forgetting import COUNTS, WRITTEN, grouped_arrays, write_everything, write_grouped_npz, write_models

EVERY = [text for texts in WRITTEN.values() for text in texts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("rules")
    write_everything(place, describe(str(write_grouped_npz(place / "grouped.npz")), 0).fingerprint)
    return place


@pytest.fixture
def info(folder, monkeypatch) -> DatasetInfo:
    """The data of the rules, in the working directory of their files."""
    monkeypatch.chdir(folder)
    return describe("grouped.npz", 0)


def chosen(text: str, info: DatasetInfo, seed: int = 0) -> list[int]:
    return ForgetSet(parse_rule(text).on(info), seed).indices(load(info).train).tolist()


def test_every_rule_is_among_the_cases():
    assert WRITTEN.keys() == FORGET_RULES.keys()
    for name, rule in FORGET_RULES.items():
        assert rule.example.startswith(f"{name}:") and parse_rule(rule.example).written == rule.example
        assert rule.__doc__


@pytest.mark.parametrize("text", EVERY)
class TestRule:
    def test_it_is_written_as_it_was_and_its_label_names_it(self, text, info):
        rule = parse_rule(text)
        selection = rule.on(info)
        assert rule.written == text and parse_rule(rule.written) == rule
        assert is_forget_label(selection.label)
        assert selection.label.partition(":")[0] == text.partition(":")[0]
        assert forget_name(selection.label).isprintable() and forget_order(selection.label)

    def test_indices_are_as_many_as_it_counts_and_ascend(self, text, info):
        selection, train = parse_rule(text).on(info), load(info).train
        for seed in (0, 1):
            indices = selection.indices(train, seed)
            assert len(indices) == selection.count(info, seed) > 0
            assert indices.dtype == np.int64 and np.all(np.diff(indices) > 0)
            assert indices[0] >= 0 and indices[-1] < COUNTS["train"]

    def test_forget_and_retain_set_are_disjoint_and_together_the_train_split(self, text, info):
        forget = np.array(chosen(text, info))
        retain = retain_set(forget, COUNTS["train"])
        assert len(retain) and sorted([*forget, *retain]) == list(range(COUNTS["train"]))

    def test_the_seed_decides_if_and_only_if_it_says_so(self, text, info):
        seeded = parse_rule(text).on(info).seeded
        first, again, other = (chosen(text, info, seed) for seed in (1, 1, 2))
        assert first == again and (first == other) != seeded
        identities = [ForgetSet(parse_rule(text).on(info), seed).identity for seed in (1, 2)]
        assert (identities[0] == identities[1]) != seeded

    def test_no_id_of_the_data_is_in_what_rows_and_commands_show(self, text, info):
        rule, arrays = parse_rule(text), grouped_arrays()
        selection = rule.on(info)
        ids = {*arrays["train_ids"].tolist(), *arrays["train_groups"].tolist()}
        shown = (selection.label, selection.identity, selection.text, rule.public, repr(selection))
        words = {word for one in shown for word in one.replace(":", " ").replace(",", " ").replace("'", " ").split()}
        assert not words & ids

    def test_the_text_selects_the_same_again_unless_it_hides_an_id(self, text, info):
        selection = parse_rule(text).on(info)
        if not text.startswith("group:p"):
            assert parse_rule(selection.text).on(info) == selection
        else:
            assert set(selection.text.removeprefix("group:").split(",")) == {"ID"}


@pytest.mark.parametrize("name", FORGET_RULES)
@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "1e999", "0x3", "³", "1 ", "9" * 500, "\x1b", ",", "p3,"])
def test_another_parameter_is_refused_in_one_line(name, text, info):
    with pytest.raises(InputError) as error:
        parse_rule(f"{name}:{text}").on(info).count(info, seed=0)
    assert str(error.value).isprintable() and len(str(error.value)) < 700


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'random'"):
        parse_rule("ramdon:0.1")
    with pytest.raises(InputError, match=r"needs a parameter, as in random:0\.1"):
        parse_rule("random")


# --- class:K ------------------------------------------------------------------------------------------------


def test_a_class_is_every_train_image_with_its_label(info):
    labels = grouped_arrays()["train_labels"].tolist()
    for k in range(3):
        assert chosen(f"class:{k}", info) == [i for i, label in enumerate(labels) if label == k]
    assert chosen("class:2,0", info) == [i for i, label in enumerate(labels) if label in (0, 2)]


def test_a_name_stands_for_its_number_and_has_its_key(info):
    named, numbered = (parse_rule(text).on(info) for text in ("class:keratosis,naevus", "class:0,2,2"))
    assert named == numbered and named.label == "class:0,2"


def test_a_class_that_is_not_there_is_an_input_error(info):
    with pytest.raises(InputError, match="has the classes 0 to 2; the forget set class:5 is not one of them"):
        parse_rule("class:5").on(info)
    with pytest.raises(InputError, match=r"unknown class of grouped.npz 'melanom'. Did you mean 'melanoma'"):
        parse_rule("class:melanom").on(info)
    with pytest.raises(InputError, match="names no classes; give the number of a class"):
        parse_rule("class:melanoma").on(replace(info, class_names=()))
    with pytest.raises(InputError, match="class:2 has no train image"):
        parse_rule("class:2").on(info).count(replace(info, class_counts=(30, 30, 0)), 0)
    with pytest.raises(InputError, match="class:0,1,2 has every train image"):
        parse_rule("class:0,1,2").on(info).count(info, 0)


def test_medmnist_has_class_names_without_a_download():
    assert parse_rule("class:basophil").on(describe("bloodmnist", 64)).label == "class:0"


# --- group --------------------------------------------------------------------------------------------------


@st.composite
def groups(draw):
    """Group names of 2 to 60 images, at least two of them different."""
    names = draw(st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=60))
    return np.array([*names[:-1], "z"])


@given(groups(), st.floats(0.01, 0.99), st.integers(0, 2**31 - 1))
def test_no_group_is_split_and_the_draw_is_that_of_the_sorted_groups(names, share, seed):
    train = TrainImages(np.zeros(len(names), dtype=np.int64), names)
    different = sorted(set(names.tolist()))
    due = round(share * len(different))
    if due in (0, len(different)):
        with pytest.raises(InputError, match="groups gives an empty"):
            GroupShare(share).indices(train, seed)
        return
    forget = GroupShare(share).indices(train, seed)
    retain = retain_set(forget, len(names))
    forgotten = set(names[forget].tolist())
    assert not forgotten & set(names[retain].tolist()) and len(forgotten) == due
    # The order and number of a group's images change nothing in which groups are drawn.
    shuffled = TrainImages(train.labels[::-1], np.concatenate([names[::-1], names]))
    assert set(shuffled.groups[GroupShare(share).indices(shuffled, seed)].tolist()) == forgotten
    assert np.array_equal(forget, GroupShare(share).indices(train, seed))


def test_sets_of_rising_shares_are_nested(info):
    sets = [set(chosen(f"group:{share}", info, seed=4)) for share in (0.1, 0.3, 0.5, 0.9)]
    assert all(small < large for small, large in pairwise(sets))


def test_every_group_is_drawn_about_as_often():
    """600 draws of 3 from 15: each comes about 120 times (standard deviation 10)."""
    train = TrainImages(np.zeros(15, dtype=np.int64), np.array([f"g{i:02}" for i in range(15)]))
    times = np.bincount(np.concatenate([GroupShare(0.2).indices(train, seed) for seed in range(600)]), minlength=15)
    assert times.sum() == 1800 and times.min() > 120 - 4 * 10 and times.max() < 120 + 4 * 10


def test_golden_groups():
    """A guard: published forget sets must stay what they were."""
    train = TrainImages(np.zeros(10, dtype=np.int64), np.array([f"g{i}" for i in range(10)]))
    assert GroupShare(0.3).indices(train, seed=0).tolist() == [3, 7, 9]
    assert GroupShare(0.5).indices(train, seed=7).tolist() == [0, 2, 5, 8, 9]


def test_named_groups_are_all_their_images(info):
    names = grouped_arrays()["train_groups"].tolist()
    wanted = [i for i, name in enumerate(names) if name in ("p3", "p7")]
    assert chosen("group:p3,p7", info) == wanted and len(wanted) == 8
    assert parse_rule("group:p3,p7").on(info) == parse_rule("group:p7,p3,p3").on(info)
    assert parse_rule("group:p3,p7").on(info).label.startswith("group:2#")


def test_other_groups_of_the_same_file_are_another_forget_set(folder, info):
    """The file's fingerprint, which is in every key, changes too."""
    moved = np.roll(grouped_arrays()["train_groups"], 1)
    other = describe(str(write_grouped_npz(folder / "moved.npz", train_groups=moved)), 0)
    assert other.fingerprint != info.fingerprint
    for text in ("group:p3", "ids:by_group.csv"):
        assert parse_rule(text).on(other).identity != parse_rule(text).on(info).identity
    assert chosen("group:0.2", other) != chosen("group:0.2", info)


BAD_GROUPS = {
    "group:nobody": r"1 of 1 groups of the forget set group:ID have no train image in grouped.npz \('nobody' is not",
    "group:p3,t1": r"'t1' is in the test split",
    "group:0.01": "forget rate 0.01 of 15 groups gives an empty forget set",
    "group:" + ",".join(f"p{i}" for i in range(15)): "has every train image of class 0",
}


@pytest.mark.parametrize("text", BAD_GROUPS)
def test_bad_groups(text, info):
    with pytest.raises(InputError, match=BAD_GROUPS[text]):
        parse_rule(text).on(info).count(info, 0)


def test_data_without_groups_is_named(folder, info):
    names = [f"{split}_groups" for split in COUNTS]
    bare = describe(str(write_grouped_npz(folder / "bare.npz", **dict.fromkeys(names))), 0)
    for text in ("group:0.2", "group:p3", "ids:by_group.csv"):
        with pytest.raises(InputError, match=r"needs groups, and .*bare\.npz has none"):
            parse_rule(text).on(bare)
    with pytest.raises(InputError, match="needs groups, and digits has none"):
        parse_rule("group:0.2").on(describe("digits", 0))


# --- ids:FILE -----------------------------------------------------------------------------------------------


def test_a_list_selects_its_images_whatever_its_column_order_and_name(info, folder):
    by_id, by_index = (parse_rule(f"ids:{name}.csv").on(info) for name in ("by_id", "by_index"))
    assert by_id.chosen == by_index.chosen == (4, 17, 31)
    assert by_id.identity == by_index.identity
    assert by_id.label == f"ids:by_id#{by_id.digest[:8]}"
    names, wanted = grouped_arrays()["train_groups"].tolist(), ("p9", grouped_arrays()["train_groups"][0])
    assert chosen("ids:by_group.csv", info) == [i for i, name in enumerate(names) if name in wanted]
    odd = folder / "Jane Doe, 1970:=x.csv"
    odd.write_bytes(
        b"\xef\xbb\xbf ID ;\r\n".replace(b";", b",b") + b"train-031,1\r\n\r\n train-004 ,2\r\ntrain-017,3\r\n"
    )
    assert parse_rule(f"ids:{odd.name}").on(info).label == f"ids:Jane-Doe-1970-x#{by_id.digest[:8]}"


BAD_LISTS = {
    "": "is empty; give a CSV file",
    "id\n": "names no id; add a line",
    "patient\np3\n": "has the columns 'patient'; its first line must name exactly one of the columns id, index",
    "id,group\ntrain-001,p3\n": "has both id and group",
    "id,id\na,b\n": "has several columns id",
    "id,x\ntrain-001,\n,a\n": "line 3 has no id",
    "id\n" + "9" * 300: "longer than 256 characters",
    "id\nnobody\n": r"1 of 1 ids in list.csv are not in grouped.npz \('nobody'\); remove or correct them",
    "id\ntrain-001\ntest-003\n": r"1 of 2 ids in list.csv are in the test split of grouped.npz \('test-003'\)",
    "id\nval-003\n": "are in the val split",
    "index\n60\n": "an index must be from 0 to 59, not '60'",
    "index\n-1\n": "must be from 0 to 59",
    "index\n1.5\n": "must be from 0 to 59",
    "index\n" + "\n".join(map(str, range(1, 60, 3))): "has every train image of class 1 of grouped.npz; keep one",
    "index\n" + "\n".join(map(str, range(60))): "has every train image of class 0",
    "group\nt1\n": r"'t1' is in the test split",
    'id\n"x\n': "not a CSV file in UTF-8",
}


@pytest.mark.parametrize("content", BAD_LISTS)
def test_a_bad_list_is_one_sentence(content, info, folder):
    (folder / "list.csv").write_text(content)
    with pytest.raises(InputError, match=BAD_LISTS[content]) as error:
        parse_rule("ids:list.csv").on(info)
    assert str(error.value).isprintable() and str(error.value).endswith(".")


def test_a_list_that_cannot_be_read_is_one_sentence(info, folder):
    (folder / "binary.csv").write_bytes(b"id\n\xff\xfe\x00")
    with pytest.raises(InputError, match="not a CSV file in UTF-8"):
        parse_rule("ids:binary.csv").on(info)
    for name in ("nothing.csv", "models"):
        with pytest.raises(InputError, match=f"cannot read the list of ids {name}"):
            parse_rule(f"ids:{name}").on(info)


def test_ids_need_data_with_ids(info):
    with pytest.raises(InputError, match="names images by id, and digits has no ids; give a column index"):
        parse_rule("ids:by_id.csv").on(describe("digits", 0))
    assert parse_rule("ids:by_index.csv").on(describe("digits", 0)).chosen == (4, 17, 31)


# --- memorized:RATE@DIR -------------------------------------------------------------------------------------


def test_the_most_memorized_images_are_chosen(info):
    """`write_models` makes models that gain the more from having seen image i, the higher i."""
    assert chosen("memorized:0.1@models", info) == list(range(54, 60))
    selection = parse_rule("memorized:0.1@models").on(info)
    assert selection.label == f"memorized:0.1#{selection.digest[:8]}" and selection.rate == 0.1


def test_folders_that_cannot_tell_are_named(info, tmp_path):
    with pytest.raises(InputError, match="no retrains of random forget sets of several seeds for this dataset"):
        parse_rule("memorized:0.1@models").on(describe("digits", 0))
    write_models(tmp_path / "one", info.fingerprint, seeds=1)
    with pytest.raises(InputError, match="of several seeds"):
        parse_rule(f"memorized:0.1@{tmp_path / 'one'}").on(info)
    forgot = write_models(tmp_path / "few", info.fingerprint, seeds=2, rate=0.1)
    known = int((forgot.any(axis=0) & ~forgot.all(axis=0)).sum())
    with pytest.raises(InputError, match=f"for only {known} of 60 train images, too few to choose 18 of them"):
        parse_rule(f"memorized:0.3@{tmp_path / 'few'}").on(info)
    with pytest.raises(InputError, match="there is no folder"):
        parse_rule(f"memorized:0.1@{tmp_path / 'none'}").on(info)
