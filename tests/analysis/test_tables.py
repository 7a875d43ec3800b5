"""The tables in every format: each value is there, and no name breaks the format."""

import csv
import html
import io
import re

import pytest

from salun_grid.analysis.formats import FORMATS
from salun_grid.analysis.tables import COLUMNS, Table, make_tables
from salun_grid.analysis.view import Results
from salun_grid.records.text import printable
from tests.support.folders import Run, make_grid, make_run, protocol_text

PROVENANCE = "6 rows on Some_GPU & another; 100% of salun-grid #1."
ODD_NAMES = ["a_b", "a&b", "a#b", "50%", "a{b}", "a|b", "a[b]c", "a[/b]c", "a,b", 'a"b', "<b>a", "a^b", "a~b"]
ODD_NAMES += ["a$b", "a\\b"]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")


def tables_of(runs: list[Run], provenance: str = PROVENANCE) -> list[Table]:
    return make_tables(Results.of(runs).summaries, provenance)


def squeezed(text: str) -> str:
    """Without any white space, which the formats are free to choose (no-break spaces are white space too)."""
    return re.sub(r"\s+", "", text)


def plain(text: str, form: str) -> str:
    """What a reader of the format sees, squeezed."""
    if form == "csv":
        text = "\n".join("\t".join(row) for row in csv.reader(io.StringIO(text)))
    if form == "latex":
        for command, sign in (
            ("textbackslash", "\0"),
            ("textasciitilde", "~"),
            ("textasciicircum", "^"),
            ("pm", "±"),
        ):
            text = re.sub(rf"\$?\\{command}(\{{\}})?\$?", lambda _, sign=sign: sign, text)
        text = re.sub(r"\\([~^])(\{\})?", r"\1", text)
        text = re.sub(r"\\([%_&#{}$])", r"\1", text).replace("\0", "\\")
    if form == "markdown":
        text = html.unescape(re.sub(r"\\([^\w\s])", r"\1", text))
    return squeezed(text)


def unescaped(sign: str, line: str) -> int:
    return len(re.findall(rf"(?<!\\)(?:\\\\)*{re.escape(sign)}", line))


def test_rows_hold_the_numbers_of_the_summaries() -> None:
    uas = {0: 2.0, 1: 4.0, 2: 9.0}
    runs = [make_run(seed=seed, ua=ua, seconds_total=60.0 * ua) for seed, ua in uas.items()]
    runs += [make_run(seed=seed, method="retrain", ua=1.0, seconds_total=600.0) for seed in (0, 1, 2)]
    (table,) = tables_of(runs)
    retrain, salun = (dict(zip(COLUMNS, map(squeezed, row), strict=True)) for row in table.rows)
    assert salun["UA"] == "5.00±3.61(+4.00;4.00)"
    assert salun["RA"] == "99.50±0.00(+0.00;0.00)"
    assert salun["AG"] == "1.00[-1.24,3.24]"
    assert salun["AG3"] == "1.33[-1.65,4.32]"
    assert salun["RTE (min)"] == "5.000±3.606"
    assert salun["n"] == "3"
    assert (salun["Augmentation"], salun["Method"], retrain["Method"]) == ("none", "salun", "retrain")
    assert re.fullmatch(r"bloodmnist64px", salun["Dataset"])


def test_one_seed_shows_no_standard_deviation() -> None:
    (table,) = tables_of(make_grid(seeds=(4,)))
    for row in table.rows:
        assert "±" not in "".join(row)
        assert "nan" not in "".join(row).lower()
        assert row[-1] == "1"


def test_there_is_a_table_for_each_protocol_and_forget_rate() -> None:
    runs = make_grid(rates=(0.5, 0.1))
    runs += make_grid(protocol="strict", protocol_json=protocol_text("strict", training={"epochs": 7}))
    tables = tables_of(runs)
    assert [(re.findall(r"\d+%", t.title), "strict" in t.title) for t in tables] == [
        (["10%"], False),
        (["50%"], False),
        (["10%"], True),
    ]
    assert [len(t.rows) for t in tables] == [3, 3, 3]


@pytest.mark.parametrize("rates", [(0.1, 0.5), (0.12, 0.125), (0.001, 0.004)], ids=str)
def test_titles_tell_forget_rates_apart(rates: tuple[float, ...]) -> None:
    titles = [table.title.partition(".")[2] for table in tables_of(make_grid(rates=rates))]
    assert len(set(titles)) == len(rates)


def test_n_and_the_provenance_are_beside_the_numbers() -> None:
    (table,) = tables_of(make_grid(seeds=(0, 1, 2, 3)))
    assert PROVENANCE in table.note
    assert re.search(r"\bn seeds\b", table.note)
    assert [row[COLUMNS.index("n")] for row in table.rows] == ["4", "4", "4"]


def test_provenance_names_each_device_and_version_once() -> None:
    pairs = (("B", "2.9"), ("A", "2.9"), ("B", "2.8"))
    runs = [make_run(device_name=device, torch_version=torch) for device, torch in pairs]
    text = Results.of(runs).provenance
    assert text.startswith("3 rows")
    for part in ("A, B", "salun-grid 0.1.0", "torch 2.8, 2.9", "ray 2.56.0"):
        assert text.count(part) == 1


def test_a_row_without_all_its_retrains_does_not_look_complete() -> None:
    """Two gaps of three seeds must not be printed as if they were three."""
    seeds = (0, 1, 2)
    salun = [make_run(seed=seed) for seed in seeds]
    retrains = [make_run(seed=seed, method="retrain", ua=0.0) for seed in seeds]

    def row(runs: list[Run]) -> list[str]:
        (table,) = tables_of(runs)
        return next(row for row in table.rows if row[2] == "salun")

    assert row(salun + retrains) != row(salun + retrains[1:])


# --- what every format must do ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_contains_every_cell_and_title(form: str) -> None:
    tables = tables_of(make_grid(("bloodmnist", "pathmnist"), (0.1, 0.5), ("none", "default+ra")))
    text = plain(FORMATS[form](tables), form)
    assert len(tables) == 2
    for table in tables:
        assert squeezed(table.title) in text
        assert len(table.rows) == 12
        for row in table.rows:
            for cell in row:
                assert squeezed(cell) in text
    for name in COLUMNS[1:]:  # a format may set the dataset above its rows, without a heading
        assert squeezed(name) in text


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "csv"])
def test_every_printed_format_contains_the_note(form: str) -> None:
    (table,) = tables_of(make_grid(), PROVENANCE)
    assert squeezed(PROVENANCE) in squeezed(table.note)
    assert squeezed(table.note) in plain(FORMATS[form]([table]), form)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_where_a_retrain_is_missing(form: str) -> None:
    tables = tables_of(make_grid(methods=("original", "salun")))
    text = plain(FORMATS[form](tables), form)
    assert [row[COLUMNS.index("AG")] for row in tables[0].rows] == ["no retrain"] * 2
    assert text.count("noretrain") == 4
    complete = tables_of(make_grid())
    assert "noretrain" not in plain(FORMATS[form](complete), form)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ODD_NAMES)
def test_every_format_shows_odd_names_as_they_are(form: str, name: str) -> None:
    text = plain(FORMATS[form](tables_of(make_grid(datasets=(name,), protocol=name))), form)
    assert f"{name}64px" in text
    assert f"protocol{name}" in text


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_of_a_folder_of_one_row_is_not_empty(form: str) -> None:
    assert "97.75" in FORMATS[form](tables_of([make_run()]))


def test_numbers_stay_whole_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = tables_of(make_grid(augmentations=("none", "default+ra")))
    monkeypatch.setenv("COLUMNS", "80")
    found = re.findall(r"\d+\.\d+", FORMATS["terminal"](tables))
    for row in tables[0].rows:
        for number in re.findall(r"\d+\.\d+", " ".join(row)):
            assert number in found


def test_csv_has_the_same_columns_in_every_row_and_gives_the_cells_back() -> None:
    tables = tables_of(make_grid(('a,"b"\nc', "pathmnist"), (0.1, 0.5)))
    header, *rows = csv.reader(io.StringIO(FORMATS["csv"](tables)))
    assert header[-len(COLUMNS) :] == COLUMNS
    assert {len(row) for row in rows} == {len(header)}
    expected = [[printable(table.title), *map(printable, row)] for table in tables for row in table.rows]
    assert [[*map(squeezed, row)] for row in rows] == [[*map(squeezed, row)] for row in expected]


@pytest.mark.parametrize("name", ["bloodmnist", "a|b"])
def test_markdown_rows_have_equal_numbers_of_pipes(name: str) -> None:
    lines = FORMATS["markdown"](tables_of(make_grid(datasets=(name,)))).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 3
    assert {unescaped("|", line) for line in table} == {len(COLUMNS) + 1}
    assert set(table[1]) <= set("|-: ")


@pytest.mark.parametrize("sign", list("%_#&{}$~^\\"))
def test_latex_has_none_of_its_special_characters_raw(sign: str) -> None:
    text = FORMATS["latex"](tables_of(make_grid(datasets=(f"x{sign}y",)), provenance=f"x{sign}y"))
    assert f"x{sign}y" not in text
    assert text.count("x") >= 4


def test_latex_is_well_formed() -> None:
    params = '{"learning_rate": 0.1, "note": "50% & more #1"}'
    runs = make_grid(datasets=("a_b", "c&d"), rates=(0.1, 0.5))
    runs += make_grid(datasets=("a_b",), methods=("salun",), method_params=params)
    text = FORMATS["latex"](tables_of(runs))
    for sign in "%_#":
        assert unescaped(sign, text) == 0
    assert unescaped("{", text) == unescaped("}", text)
    assert unescaped("$", text) % 2 == 0
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 2
    for line in text.splitlines():
        ends_row = line.endswith(r"\\")
        assert unescaped("&", line) == (len(COLUMNS) - 1 if ends_row else 0)
    specification = re.search(r"\\begin\{tabular\}\{([a-z]+)\}", text)
    assert specification is not None
    assert len(specification[1]) == len(COLUMNS)
