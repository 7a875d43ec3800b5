"""A table of any bytes: a listing, or one sentence."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salun_grid.images.table import Columns, read_table
from salun_grid.records.errors import InputError
from salun_grid.records.text import printable

SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
CELLS = st.one_of(
    st.sampled_from(["", "a", "1", "train", "a.png", "../a", "/etc", " x ", '"', '"a"']), st.text(max_size=9)
)
ROWS = st.lists(st.lists(CELLS, max_size=4), max_size=6)
COLUMNS = Columns(id="id", split="split", patient="patient")


@SETTINGS
@given(
    header=st.sampled_from(["image,label,id,split,patient", "label;image", "image\tlabel", "", "image,image,label"]),
    rows=ROWS,
    separator=st.sampled_from(",;\t"),
    tail=st.binary(max_size=6),
    all_columns=st.booleans(),
)
def test_any_table(
    header: str, rows: list[list[str]], separator: str, tail: bytes, all_columns: bool, tmp_path: Path
) -> None:
    lines = [header, *(separator.join(row) for row in rows)]
    (path := tmp_path / "t.csv").write_bytes("\n".join(lines).encode("utf-8", "surrogatepass") + tail)
    try:
        found = read_table(path, tmp_path, COLUMNS if all_columns else Columns())
    except InputError as error:
        assert printable(str(error)).endswith((".", "'?"))
    else:
        assert found.entries and len({entry.id for entry in found.entries}) == len(found.entries)
        assert all(entry.label and entry.path.is_absolute() for entry in found.entries)
        assert found.is_split == found.has_patients == all_columns


def test_a_quoted_cell_may_hold_the_separator_and_a_line_break(tmp_path: Path) -> None:
    (path := tmp_path / "t.csv").write_text('image,label\n"a,1.png","big\ntumour"\nb.png,normal\n')
    entries = read_table(path, tmp_path, Columns()).entries
    assert [(entry.id, entry.label) for entry in entries] == [("a,1.png", "big\ntumour"), ("b.png", "normal")]
