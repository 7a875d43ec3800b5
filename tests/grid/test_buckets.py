"""The same results in a bucket of S3: a whole small study, what breaks on the way, and what a user gets wrong."""

import gc
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from salun_grid.analysis.cli import main as salun_analysis
from salun_grid.analysis.results import open_table, read_runs
from salun_grid.grid.cli import main as salun_grid
from salun_grid.grid.lock import DriverLock, held
from salun_grid.grid.plan import finished_jobs, make_plan, missing_jobs
from salun_grid.grid.store import Store
from salun_grid.records.errors import InputError
from tests.support.buckets import BUCKET, Line, User, address, check_users, client, objects, s3_server, start_over
from tests.support.studies import OF_ONE_RUN, run_without_ray, small_study

pytestmark = pytest.mark.bucket  # also where nothing answers, for seconds


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None of the user's own, nor of the machine's role."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")


@pytest.fixture(scope="module")
def s3_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s3") / "moto.log"


@pytest.fixture(scope="module")
def server(s3_log: Path) -> Iterator[int]:
    with s3_server(s3_log) as port:
        yield port


@pytest.fixture
def s3_port(credentials: None, server: int) -> int:
    start_over(server)
    return server


def use(program: object, *words: object) -> Result:
    return CliRunner().invoke(program, [str(word) for word in words])


def results(out: str) -> list[dict]:
    rows = [{name: value for name, value in run.items() if name not in OF_ONE_RUN} for run in read_runs(out)]
    return sorted(rows, key=lambda row: row["job_key"])


def test_a_study_in_a_bucket_equals_one_in_a_folder(
    s3_port: int, small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files under the same names with the same rows, read by both programs; nothing is done twice."""
    plan = make_plan(small_study(small_npz))
    folder, out = str(tmp_path / "out"), address(s3_port)
    run_without_ray(plan, Store(folder))
    store = Store(out)
    store.check()
    run_without_ray(plan, store)
    store.publish_study(plan.summary())
    store.publish_study(plan.summary())

    assert results(out) == results(folder)
    logits = [open_table(place, "predictions").to_table()["logits"].combine_chunks().values for place in (out, folder)]
    np.testing.assert_array_equal(*map(np.asarray, logits))
    local = {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}
    remote = {key.removeprefix("runs/out/") for key in objects(s3_port)}
    assert {name for name in remote if not name.startswith("studies/")} == local
    assert len(remote) == len(local) + 1

    assert finished_jobs(plan, store) == set(plan.jobs)
    assert run_without_ray(plan, Store(out)) == []
    lost = next(cell.key for cell in plan.cells if cell.method == "salun")
    client("s3", s3_port).delete_object(Bucket=BUCKET, Key=f"runs/out/results/runs/{lost}.parquet")
    assert [job.key for job in missing_jobs(plan, store)] == [lost]
    run_without_ray(plan, Store(out))
    assert results(out) == results(folder)

    monkeypatch.chdir(tmp_path)
    assert "small: 8/8 jobs done" in use(salun_grid, "status", "--out", out).stdout
    assert "Table 1. Forgetting 10%" in use(salun_analysis, "tables", out).stdout
    assert use(salun_analysis, "figure", out).stdout.split() == ["figures/average_gap.png", "figures/average_gap.svg"]
    assert use(salun_analysis, "report", out).stdout.split() == ["report.html"]
    assert (tmp_path / "figures" / "average_gap.png").stat().st_size > 10_000


def test_the_state_of_a_training_comes_and_goes(s3_port: int) -> None:
    store = Store(address(s3_port))
    assert store.read_checkpoint("key") is None
    for state in (b"first", b"second"):
        store.publish_checkpoint("key", state)
        assert store.read_checkpoint("key") == state
    store.drop_checkpoint("key")
    store.drop_checkpoint("key")
    assert store.read_checkpoint("key") is None
    assert store.publish_failure("key", "why") == address(s3_port, "runs/out/logs/key.txt")
    assert objects(s3_port) == {"runs/out/logs/key.txt": b"why"}


# Megabytes of a file, and how many of them arrive: none, a part of the only part, all but the last of three parts.
@pytest.mark.parametrize(("size", "arriving"), [(26, 0), (1, 0.3), (26, 23)])
def test_an_upload_that_breaks_off_leaves_nothing(s3_port: int, size: float, arriving: float) -> None:
    """Also where another content lies already: that one stays."""
    content = os.urandom(size * 1_000_000)
    Store(address(s3_port)).publish(b"earlier", "models", "old", "weights.safetensors")
    before = objects(s3_port)
    lines = {key: Line(s3_port, allowance=arriving * 1_000_000) for key in ("new", "old")}

    def publish(key: str) -> None:
        Store(address(lines[key].port)).publish(content, "models", key, "weights.safetensors")

    def told(key: str) -> str:
        with pytest.raises(OSError) as failure:
            publish(key)
        return str(failure.value)

    with ThreadPoolExecutor() as pool:  # each waits for seconds until the library gives up
        assert all("AWS Error" in text for text in pool.map(told, lines))
    assert all(line.cuts > 1 for line in lines.values())  # the library tried again by itself
    assert objects(s3_port) == before

    for line in lines.values():
        line.allowance = float("inf")
    gc.collect()  # the broken streams, which must not go on over the line that is whole again
    assert objects(s3_port) == before
    for key, line in lines.items():
        publish(key)
        assert objects(s3_port)[f"runs/out/models/{key}/weights.safetensors"] == content
        line.close()


def test_a_job_whose_upload_breaks_off_is_done_again(s3_port: int, small_npz: Path) -> None:
    """The line is cut for good in the midst of a study; the same command over a whole line ends it."""
    plan = make_plan(small_study(small_npz, methods=("retrain", "salun")))
    line = Line(s3_port, allowance=400_000)
    with pytest.raises(OSError, match="AWS Error"):
        run_without_ray(plan, Store(address(line.port)))
    line.close()
    store = Store(address(s3_port))
    assert objects(s3_port)
    assert len(finished_jobs(plan, store)) < len(plan.jobs)
    run_without_ray(plan, store)
    assert finished_jobs(plan, store) == set(plan.jobs)
    assert sorted(run["method"] for run in read_runs(address(s3_port))) == ["retrain", "salun"]


def test_listing_asks_once_for_a_thousand_files(s3_port: int, s3_log: Path) -> None:
    """Never once for each key."""
    store, s3 = Store(address(s3_port)), client("s3", s3_port)
    rows, models = [f"{i:020x}" for i in range(1_001)], [f"{i:020x}" for i in range(501)]
    for key in rows:
        s3.put_object(Bucket=BUCKET, Key=f"runs/out/results/runs/{key}.parquet", Body=b"")
    for key in models:
        for name in ("weights.safetensors", "manifest.json"):
            s3.put_object(Bucket=BUCKET, Key=f"runs/out/models/{key}/{name}", Body=b"")
    before = len(s3_log.read_text().splitlines())
    assert store.published_rows() == set(rows)
    assert store.published_models() == set(models)
    asked = s3_log.read_text().splitlines()[before:]
    assert len(asked) == 4, asked


def refused(out: str, npz: Path) -> str:
    """What the programs say of an address they cannot use: one sentence, the same."""
    sentences = set()
    for program, words in (
        (salun_grid, ["run", "--dataset", npz, "--out", out]),
        (salun_grid, ["status", "--out", out]),
        (salun_analysis, ["tables", out]),
    ):
        result = use(program, *words)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        sentences.add(" ".join(result.stderr.partition("Error: ")[2].split()))
    (sentence,) = sentences
    return sentence


def test_a_bucket_that_does_not_exist(s3_port: int, small_npz: Path) -> None:
    out = address(s3_port, bucket="another")
    assert refused(out, small_npz) == f"cannot read {out}: the bucket does not exist; create it first."
    assert [each["Name"] for each in client("s3", s3_port).list_buckets()["Buckets"]] == [BUCKET]
    with pytest.raises(InputError, match=r"cannot write to --out .* the bucket does not exist"):
        Store(out).create()


def test_an_endpoint_where_nothing_answers(small_npz: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    assert "no response; check the network" in refused(address(closed), small_npz)


def test_wrong_credentials(s3_port: int, small_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With those of a user who may do everything the same address is read."""
    user, out = User(client("iam", s3_port), "user", "*"), address(s3_port)
    check_users(s3_port)

    assert "the credentials are missing, wrong, or not allowed" in refused(out, small_npz)
    with pytest.raises(InputError, match=r"cannot write to --out .* the credentials"):
        Store(out).create()
    for name, value in user.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="holds no runs yet"):
        read_runs(out)


def test_a_bucket_that_refuses_what_is_written_midway(
    s3_port: int, small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there can still be read and counted, the reason is kept elsewhere, and once allowed the rest is done."""
    admin, out = User(client("iam", s3_port), "admin", "*"), address(s3_port)
    user = User(admin.iam, "user", "*")
    check_users(s3_port)
    secrets = (admin.environment["AWS_ACCESS_KEY_ID"], admin.environment["AWS_SECRET_ACCESS_KEY"])
    user.iam = client("iam", s3_port, aws_access_key_id=secrets[0], aws_secret_access_key=secrets[1])
    for name, value in user.environment.items():
        monkeypatch.setenv(name, value)
    plan, store = make_plan(small_study(small_npz, methods=("retrain", "salun"))), Store(out)
    first, *rest = plan.jobs
    run_without_ray(replace(plan, jobs={first: plan.jobs[first]}), store)
    store.publish_study(plan.summary())
    with held(DriverLock(store)):
        user.allow("s3:Get*", "s3:Head*", "s3:List*")
        with pytest.raises(OSError, match="ACCESS_DENIED"):
            store.publish(b"more", "models", rest[0], "weights.safetensors")
    elsewhere = Path(store.publish_failure(rest[0], "why"))
    assert elsewhere.read_text() == "why"
    told = use(salun_grid, "status", "--out", out).stdout
    assert f"active run: process {os.getpid()}" in told  # it could not delete its heartbeat
    assert "small: 1/5 jobs done" in told
    with pytest.raises(InputError, match=r"cannot write to --out .* the credentials"):
        Store(out).create()
    assert finished_jobs(plan, store) == {first}
    user.allow("*")
    run_without_ray(plan, Store(out))
    assert finished_jobs(plan, store) == set(plan.jobs)
    elsewhere.unlink()
    elsewhere.parent.rmdir()


def test_a_prefix_with_other_files(s3_port: int) -> None:
    client("s3", s3_port).put_object(Bucket=BUCKET, Key="runs/out/thesis.doc", Body=b"")
    with pytest.raises(InputError, match="contains other files"):
        Store(address(s3_port)).check()
    Store(address(s3_port, "elsewhere")).check()


def test_another_schema_version(s3_port: int) -> None:
    Store(address(s3_port)).publish(b'{"schema_version": 99}', "format.json")
    with pytest.raises(InputError, match="schema version 99"):
        Store(address(s3_port)).check()
