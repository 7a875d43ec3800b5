"""Arbitrary study files, options, npz files and results folders: success, or one sentence with exit status 2.

Hypothesis draws the same cases each time; together they take about a minute.
"""

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salun_grid.analysis.cli import main as salun_analysis
from salun_grid.grid.cli import main as salun_grid
from salun_grid.grid.plan import make_plan
from salun_grid.grid.store import Store
from salun_grid.grid.study import AXES, STUDIES, narrowed
from salun_grid.grid.study_file import FIELDS
from salun_grid.records.text import printable
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.protocol import Protocol
from salun_grid.trainables.settings import settings_of
from tests.support.small_data import write_small_npz
from tests.support.studies import run_without_ray

pytestmark = pytest.mark.usefixtures("few_draws")
SETTINGS = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck), max_examples=150
)


def outcome(program: Any, words: list[str]) -> str:
    """What a command says. Fails unless it succeeds, or ends with one sentence and exit status 2."""
    result = CliRunner().invoke(program, words)
    told = f"{words}: {result.output!r}"
    assert result.exception is None or isinstance(result.exception, SystemExit), (told, result.exception)
    assert "Traceback" not in result.output, told
    assert result.exit_code in (0, 2), told
    if result.exit_code == 2:
        errors = [line for line in result.stderr.splitlines() if not line.startswith("Warning: ")]
        assert errors and errors[0].startswith(("Error: ", "Usage: ")), told
        assert errors == [printable(line) for line in errors], told
    return result.output


# --- study files --------------------------------------------------------------------------------------------

NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([0, 1, -1, 0.1, 0.5, 1.0, 512, 1e308]))
TEXT = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "digits", "paper", "salun", "../../../evil", "a\x1b[2J", "x" * 5000, "none", "\ufeff", "=1+1"]
    ),
)
VALUES = st.recursive(
    st.one_of(NUMBERS, TEXT, st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
DOTTED = [each.name for each in settings_of(Protocol)]
NAMES = st.one_of(st.sampled_from([*FIELDS, *DOTTED, "protocol.base", "seed"]), TEXT)


def toml(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(name)} = {toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return (
        json.dumps(value).replace("Infinity", "inf").replace("NaN", "nan")
        if not isinstance(value, str)
        else quoted(value)
    )


def quoted(text: str) -> str:
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'


@st.composite
def studies(draw: st.DrawFn) -> bytes:
    """Mostly a study with some fields at odd values, sometimes any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    fields = draw(st.dictionaries(NAMES, VALUES, max_size=4))
    lines = [
        f"{name if name in FIELDS else quoted(name)} = {toml(value)}"
        for name, value in fields.items()
        if "." not in name
    ]
    lines += [
        "[protocol]",
        *(f"{name.removeprefix('protocol.')} = {toml(v)}" for name, v in fields.items() if name in DOTTED),
    ]
    text = "\n".join(lines if draw(st.booleans()) else lines[:-1])
    return (b"\xef\xbb\xbf" if draw(st.booleans()) else b"") + text.encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_npz(tmp_path_factory.mktemp("data") / "small.npz")


@SETTINGS
@given(content=studies())
def test_a_study_file(content: bytes, data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_bytes(content)
    outcome(salun_grid, ["plan", str(folder / "study.toml"), "--dataset", str(data), "--out", str(folder / "out")])
    assert [path.name for path in folder.iterdir()] == ["study.toml"]


OPTIONS = {
    "--dataset": TEXT,
    "--forget": st.one_of(TEXT, st.builds("random:{}".format, NUMBERS)),
    "--forget-rate": NUMBERS,
    "--augmentation": TEXT,
    "--seed": NUMBERS,
    "--method": st.one_of(
        TEXT,
        st.builds(
            lambda method, name, value: f"{method}:{name}={value}",
            st.sampled_from([*METHODS, "retrain", ""]),
            st.one_of(TEXT, st.sampled_from(["epochs", "mask.fraction", "order", "learning_rate"])),
            st.one_of(TEXT, NUMBERS),
        ),
    ),
    "--epochs": NUMBERS,
    "--unlearning-epochs": NUMBERS,
    "--image-size": NUMBERS,
    "--set": st.one_of(TEXT, st.builds(lambda name, value: f"{name}={value}", st.sampled_from(DOTTED), NUMBERS | TEXT)),
    "--price": NUMBERS,
    "--measured": TEXT,
}


OPTION = st.sampled_from(list(OPTIONS)).flatmap(lambda option: st.tuples(st.just(option), OPTIONS[option]))


@SETTINGS
@given(given_options=st.lists(OPTION, max_size=3))
def test_options(given_options: list[tuple[str, Any]], data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("options")
    words = [f"{option}={value}" for option, value in given_options]
    if "--dataset" not in dict(given_options):
        words += ["--dataset", str(data)]
    outcome(salun_grid, ["plan", "digits", *words, "--out", str(folder / "out")])
    assert list(folder.iterdir()) == []


# --- npz files ----------------------------------------------------------------------------------------------

ARRAYS = [f"{split}_{what}" for split in ("train", "val", "test") for what in ("images", "labels")]
DTYPES = st.sampled_from(["u1", "i8", "f8", "?", "U3", "O", "u2", "c16", "V4", "M8[s]"])
SHAPES = st.lists(st.integers(0, 12), max_size=4).map(tuple)


def header(shape: tuple[int, ...], dtype: str, version: tuple[int, int], claimed: tuple[int, ...] | None) -> bytes:
    """An array's bytes whose header claims a shape."""
    array = np.zeros(shape, dtype) if dtype != "O" else np.full(shape, 3, dtype)
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version, allow_pickle=True)
    return buffer.getvalue().replace(str(shape).encode(), str(claimed or shape).encode(), 1)


@st.composite
def npz_files(draw: st.DrawFn) -> bytes:
    """A good file with some arrays replaced, left out or lying about their shape, then perhaps some bytes changed."""
    good = {f"{split}_images": np.zeros((9, 8, 8), np.uint8) for split in ("train", "val", "test")}
    good |= {f"{split}_labels": np.arange(9) % 3 for split in ("train", "val", "test")}
    replaced = draw(st.dictionaries(st.sampled_from(ARRAYS), st.tuples(SHAPES, DTYPES), max_size=3))
    huge = draw(st.sampled_from([None, (10**6, 10**6, 10**6), (2**62,), (-1,), (9, 8, 8, 8)]))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        for name, array in good.items():
            if name in replaced:
                shape, dtype = replaced[name]
                version = draw(st.sampled_from([(1, 0), (2, 0), (3, 0)]))
                archive.writestr(f"{name}.npy", header(shape, dtype, version, huge))
            elif draw(st.integers(0, 19)):
                content = io.BytesIO()
                np.lib.format.write_array(content, array)
                archive.writestr(f"{name}.npy", content.getvalue())
    content = bytearray(buffer.getvalue())
    for place, value in draw(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=3)):
        content[place % len(content)] = value
    return bytes(content[: draw(st.integers(0, len(content))) if draw(st.integers(0, 4)) == 0 else None])


@SETTINGS
@given(content=npz_files())
def test_an_npz_file(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("npz")
    (folder / "a.npz").write_bytes(content)
    outcome(salun_grid, ["plan", "digits", "--dataset", str(folder / "a.npz"), "--out", str(folder / "out")])
    assert [path.name for path in folder.iterdir()] == ["a.npz"]


# --- results folders ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished study with a heartbeat and the state of a training."""
    axes = {"datasets": (str(data),), "seeds": (0,), "forget_sets": ("random:0.1",), "augmentations": ("none",)}
    changes = ("training.epochs=1", "unlearning.epochs=1", "model.width=4")
    plan = make_plan(narrowed(STUDIES["digits"], axes, changes))
    store = Store(str(tmp_path_factory.mktemp("results") / "out"))
    store.create()
    store.publish_study(plan.summary())
    run_without_ray(plan, store)
    beat = {"host": "elsewhere", "pid": 1, "process": "boot/1", "alive_at": 0.0}
    store.publish(json.dumps(beat).encode(), "driver.json")
    return Path(store.out)


READERS = [
    (salun_grid, ["status", "--out", "{out}"]),
    (salun_grid, ["export", "--out", "{out}"]),
    (salun_analysis, ["tables", "{out}"]),
    (salun_analysis, ["verdicts", "{out}"]),
    (salun_analysis, ["metrics", "{out}"]),
    (salun_analysis, ["compare", "{out}", "{out}"]),
    (salun_analysis, ["export", "{out}", "--out", "{out}/../all.csv"]),
]


@st.composite
def damages(draw: st.DrawFn) -> list[tuple[int, str, Any]]:
    """Up to three files by number, and what becomes of each: cut, changed bytes, other content, or values set."""
    kinds = {
        "cut": st.integers(0, 10_000),
        "bytes": st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=4),
        "content": st.one_of(st.binary(max_size=64), VALUES.map(lambda value: json.dumps(value).encode())),
        "value": st.tuples(st.integers(0, 60), st.one_of(st.none(), NUMBERS, TEXT)),
    }
    chosen = draw(st.lists(st.tuples(st.integers(0, 100), st.sampled_from(list(kinds))), min_size=1, max_size=3))
    return [(place, kind, draw(kinds[kind])) for place, kind in chosen]


def damage(path: Path, kind: str, how: Any) -> None:
    content = bytearray(path.read_bytes())
    if kind == "cut":
        path.write_bytes(content[:how])
    elif kind == "bytes":
        for place, value in how if content else ():
            content[place % len(content)] = value
        path.write_bytes(content)
    elif kind == "content" or path.suffix != ".parquet":
        path.write_bytes(how if kind == "content" else json.dumps({"schema_version": how[1]}).encode())
    else:
        set_value(path, *how)


def set_value(path: Path, column: int, value: Any) -> None:
    """Set a column of a Parquet file, where it can hold the value; its schema and metadata stay."""
    try:
        table = pq.read_table(path)
        field = table.schema.field(column % len(table.schema)).with_nullable(True)
        array = pa.array([value] * len(table), type=field.type)
        table = table.set_column(table.schema.get_field_index(field.name), field, array)
        pq.write_table(table.replace_schema_metadata(pq.read_schema(path).metadata), path)
    except (pa.ArrowException, OverflowError, TypeError, ValueError, OSError):
        return


@pytest.mark.slow
@settings(SETTINGS, max_examples=60)
@given(damaged=damages())
def test_a_results_folder(damaged: list, results: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("damaged") / "out"
    shutil.copytree(results, out)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    for place, kind, how in damaged:
        damage(files[place % len(files)], kind, how)
    for program, words in READERS:
        outcome(program, [word.format(out=out) for word in words])


def test_every_axis_has_an_option() -> None:
    """Guards the options above against a new axis."""
    assert set(AXES.values()) <= set(OPTIONS)
