"""Every file that the program reads back, damaged in every way: a sentence or a warning, never a traceback.

A damaged file neither blocks the folder nor passes for whole.
"""

import json
import shutil
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import save

from salun_grid.analysis.cli import main as salun_analysis
from salun_grid.analysis.results import read_runs
from salun_grid.grid import jobs
from salun_grid.grid.cli import main as salun_grid
from salun_grid.grid.jobs import Workplace, run_job
from salun_grid.grid.plan import Plan, make_plan, missing_jobs
from salun_grid.grid.store import Store
from salun_grid.grid.study import STUDIES, narrowed
from salun_grid.records.errors import InputError, ResultsWarning
from salun_grid.records.schemas import SCHEMAS
from salun_grid.trainables.data import load
from salun_grid.trainables.passes import Epoch
from tests.support.small_data import write_small_npz
from tests.support.studies import SMALL_SETTINGS, run_without_ray

AXES = ("--seed", "0", "--forget-rate", "0.1", "--augmentation", "none")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, a finished study in `out`, a heartbeat and the state of a training."""
    folder = tmp_path_factory.mktemp("whole")
    plan, store = plan_in(folder), Store(str(folder / "out"))
    store.create()
    store.publish_study(plan.summary())
    run_without_ray(plan, store)
    beat = {"host": "elsewhere", "pid": 1, "process": "boot/1", "alive_at": 0.0}
    store.publish(json.dumps(beat).encode(), "driver.json")
    store.publish_checkpoint(key_of(plan, "retrain"), save({"model.x": np.zeros(3)}, {"epochs": "[]"}))
    return folder


@cache  # the data stay as they are
def plan_in(folder: Path) -> Plan:
    npz = folder / "small.npz"
    if not npz.exists():
        write_small_npz(npz)
    axes = {"datasets": (str(npz),), "seeds": (0,), "forget_sets": ("random:0.1",), "augmentations": ("none",)}
    settings = ("training.epochs=2", "unlearning.epochs=1", "model.width=4")
    return make_plan(narrowed(STUDIES["digits"], axes, settings))


def key_of(plan: Plan, method: str, makes: str = "model") -> str:
    return next(key for key, job in plan.jobs.items() if (job.method, job.makes) == (method, makes))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """Under the same path for the data, which the study names, and another for the results."""
    shutil.copytree(whole / "out", tmp_path / "out")
    return tmp_path / "out"


# --- kinds of files, and damages ----------------------------------------------------------------------------

KINDS = {
    "format": "format.json",
    "driver": "driver.json",
    "study": "studies/*.json",
    "manifest": "models/{salun}/manifest.json",
    "weights": "models/{salun}/weights.safetensors",
    "checkpoint": "checkpoints/*.safetensors",
    "runs": "results/runs/{row}.parquet",
    "epochs": "results/epochs/{salun}.parquet",
    "predictions": "results/predictions/{row}.parquet",
}


def other_shape(path: Path) -> bytes:
    """A good file of its format that says something else."""
    if path.suffix == ".json":
        return b'[{"a": [null, 1e400, "x"]}]'
    if path.suffix == ".safetensors":
        return save({"other": np.zeros(2)}, {"epochs": '{"a": 1}'})
    return parquet(pa.table({"x": [1, 2]}))


def newer(path: Path) -> bytes:
    """As a later version might write it."""
    if path.suffix == ".json":
        return json.dumps({"format": "salun-grid", "schema_version": 99, "version": 99}).encode()
    if path.suffix == ".safetensors":
        return save({"state.9.x": np.zeros(2)}, {"version": "99"})
    table = pq.read_table(path)
    return parquet(table.replace_schema_metadata({"table": path.parent.name, "schema_version": "99"}))


def parquet(table: pa.Table) -> bytes:
    buffer = BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


DAMAGES = {
    "truncated": lambda path: path.read_bytes()[: path.stat().st_size // 2],
    "empty": lambda path: b"",
    "another shape": other_shape,
    "garbage": lambda path: bytes(range(256)) * 8,
    "newer": newer,
}
COMMANDS = {
    "status": (salun_grid, "status", "--out", "{out}"),
    "plan": (salun_grid, "plan", "digits", "--dataset", "{npz}", *AXES, *SMALL_SETTINGS, "--out", "{out}"),
    "run": (salun_grid, "run", "digits", "--dataset", "{npz}", *AXES, *SMALL_SETTINGS, "--out", "{out}"),
    "models": (salun_grid, "export", "--out", "{out}"),
    "export": (salun_grid, "export", "{salun}", "--out", "{out}", "--to", "{out}/../model"),
    "tables": (salun_analysis, "tables", "{out}"),
    "verdicts": (salun_analysis, "verdicts", "{out}"),
    "metrics": (salun_analysis, "metrics", "{out}"),
}
# The commands that must refuse a file of the kind, since what they show would come from it.
REFUSE = {
    "format": {"status", "plan", "run", "models", "export"},
    "manifest": {"export"},
    "weights": {"export"},
    "runs": {"run", "models", "tables", "verdicts", "metrics"},
    "predictions": {"metrics", "verdicts"},
}


def use(command: str, out: Path, whole: Path) -> Result:
    program, *words = COMMANDS[command]
    names = {"out": str(out), "npz": str(whole / "small.npz"), "salun": key_of(plan_in(whole), "salun")}
    return CliRunner().invoke(program, [word.format(**names) for word in words])


def damaged_path(kind: str, out: Path, whole: Path) -> Path:
    plan = plan_in(whole)
    names = {"salun": key_of(plan, "salun"), "row": key_of(plan, "salun", "row")}
    (path,) = out.glob(KINDS[kind].format(**names))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_the_whole_folder_pleases_every_command(command: str, copy: Path, whole: Path) -> None:
    """Guards the cases below: what they see is the damage."""
    result = use(command, copy, whole)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.usefixtures("blank_figures", "few_draws")  # by then all files are read
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_named_or_gives_way(kind: str, damage: str, copy: Path, whole: Path) -> None:
    path = damaged_path(kind, copy, whole)
    path.write_bytes(DAMAGES[damage](path))
    for command in COMMANDS:
        result = use(command, copy, whole)
        text = result.output + result.stderr
        assert result.exception is None or isinstance(result.exception, SystemExit), (command, result.exception)
        assert "Traceback" not in text, command
        refuses = command in REFUSE.get(kind, ())
        assert result.exit_code == (2 if refuses else 0), (command, text)
        if refuses:
            assert path.name in text or path.stem in text or "schema version 99" in text, (command, text)
            assert len(result.stderr.strip().splitlines()) == 1, (command, text)
    if kind in ("study", "runs"):
        assert path.name in use("status" if kind == "study" else "plan", copy, whole).output


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["manifest", "weights"])
def test_a_damaged_model_is_not_evaluated(kind: str, damage: str, copy: Path, whole: Path) -> None:
    path = damaged_path(kind, copy, whole)
    path.write_bytes(DAMAGES[damage](path))
    plan, store = plan_in(whole), Store(str(copy))
    store.drop("results", "runs", f"{key_of(plan, 'salun', 'row')}.parquet")
    with pytest.raises(InputError, match=f"{path} is damaged; delete {path.parent}, and rerun the command"):
        run_without_ray(plan, store)
    shutil.rmtree(path.parent)
    run_without_ray(plan, store)
    assert missing_jobs(plan, store) == []


def test_a_flipped_bit_of_the_weights_is_seen(copy: Path, whole: Path) -> None:
    path = damaged_path("weights", copy, whole)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert use("export", copy, whole).exit_code == 2


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_training_starts_over_where_its_state_is_damaged(
    damage: str, copy: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And ends where an undisturbed one does."""
    plan, undisturbed, store = plan_in(whole), Store(str(copy)), Store(str(tmp_path / "other"))
    key = key_of(plan, "retrain")
    store.create()
    path = Path(store.address("checkpoints", f"{key}.safetensors"))
    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 0.0)

    def die(epoch: Epoch) -> None:
        if epoch.epoch == 1:
            raise KeyboardInterrupt

    job, told = plan.jobs[key], list[str]()
    place = Workplace(plan.study, load(job.data), store, jobs.torch.device("cpu"), die, tell=told.append)
    with pytest.raises(KeyboardInterrupt):
        run_job(job, place, lambda loop: loop())
    assert told == []
    path.write_bytes(DAMAGES[damage](path))
    quiet = Workplace(plan.study, load(job.data), store, place.device, lambda epoch: None, tell=told.append)
    run_job(job, quiet, lambda loop: loop())
    assert len(told) == 1 and told[0].startswith(f"{path} is damaged (") and told[0].endswith("starts over")
    assert store.read_weights(key) == undisturbed.read_weights(key)


# --- rows ---------------------------------------------------------------------------------------------------

FLAWS = {
    "ua": (None, "ua is null"),
    "dataset": (None, "dataset is null"),
    "forget": ("random:often", "forget is 'random:often'"),
    "protocol_json": ("{", "protocol_json is no JSON"),
    "method_params": ("[1]", "method_params is no JSON object"),
    "seeds": (None, "seeds is null"),
    "job_key": (None, "job_key is null"),
}


@pytest.mark.parametrize("column", FLAWS)
def test_a_row_with_a_flaw_is_named_and_left_out(column: str, copy: Path, whole: Path) -> None:
    path = damaged_path("runs", copy, whole)
    value, why = FLAWS[column]
    rows = pq.read_table(path).to_pylist()
    nullable = pa.schema([field.with_nullable(True) for field in SCHEMAS["runs"]], SCHEMAS["runs"].metadata)
    path.write_bytes(parquet(pa.Table.from_pylist([{**row, column: value} for row in rows], schema=nullable)))
    with pytest.warns(ResultsWarning, match=why):
        assert len(read_runs(str(copy))) == 3
    result = use("tables", copy, whole)
    assert result.exit_code == 0
    assert why in " ".join(result.stderr.split()) and "salun" not in result.stdout.split("Percent")[0]


@pytest.mark.parametrize("rewrite", ["pandas", "polars", "duckdb"])
def test_a_row_that_another_program_wrote_anew_says_what_is_gone(rewrite: str, copy: Path, whole: Path) -> None:
    import duckdb
    import pandas as pd
    import polars as pl

    path = damaged_path("runs", copy, whole)
    if rewrite == "pandas":
        pd.read_parquet(path).to_parquet(path)
    elif rewrite == "polars":
        pl.read_parquet(path).write_parquet(path)
    else:
        other = path.with_name("other")
        duckdb.execute(f"COPY (SELECT * FROM '{path}') TO '{other}' (FORMAT parquet)")
        other.replace(path)
    result = use("tables", copy, whole)
    assert result.exit_code == 2
    assert f"{path} has lost its schema metadata" in " ".join(result.stderr.split())


# --- folders ------------------------------------------------------------------------------------------------


def test_a_complete_folder_that_is_read_only_has_nothing_to_do(
    copy: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the store refuses as a read-only file system does."""

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Store, "publish", read_only)
    result = use("run", copy, whole)
    assert result.exit_code == 0, result.output
    assert "Nothing to do: all 8 jobs" in result.stdout and "Table 1" in result.stdout


@pytest.mark.parametrize("address", ["s3://bucket/run#1", "gs://bucket/a#b?region=x", "s3://bucket/#"])
def test_a_number_sign_in_an_address_is_refused(address: str) -> None:
    """What follows it would be cut off, and two runs would share a prefix."""
    for words in (["plan", "--out", address], ["status", "--out", address]):
        result = CliRunner().invoke(salun_grid, words)
        assert result.exit_code == 2
        assert "contains a #" in result.stderr
