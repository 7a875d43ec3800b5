"""The output folder, local or in a bucket. A job is done when its result is published, atomically, under its key.

OUT/format.json                     marker of an output folder, and the schema version
OUT/models/<key>/weights.safetensors + manifest.json (last: it makes the model count as published)
OUT/results/{runs,epochs,predictions,measures}/<key>.parquet (runs last: it makes the row count as published)
OUT/checkpoints/<key>.safetensors   the state of an unfinished training
OUT/studies/<hash>.json             the jobs of each study started here
OUT/driver.json                     the heartbeat of the active run
OUT/logs/                           Ray's output (on the driver if OUT is remote), the traceback of each failed job
"""

import hashlib
import json
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from salun_grid.grid.keys import FORMAT_VERSION
from salun_grid.records import storage
from salun_grid.records.errors import InputError
from salun_grid.records.folder import Folder, make_private
from salun_grid.records.schemas import SCHEMA_VERSION, SCHEMAS

FORMAT_FILE = "format.json"
WEIGHTS_FILE, MANIFEST_FILE = "weights.safetensors", "manifest.json"
# Free space checked at the start of a run: less than any job writes, more than a full disk accepts.
PROBE_BYTES = 2**16


class Store(Folder):
    """An output folder. Each worker process creates its own Store from the address."""

    @cached_property
    def spare_folder(self) -> Path:
        """A temporary folder for logs that cannot be written here, created on first use."""
        return Path(tempfile.mkdtemp(prefix="salun-grid-logs-"))

    def log_folder(self) -> Path:
        """A local folder for Ray's output: inside this one, or the spare folder if this one is remote."""
        return self.spare_folder if storage.is_remote(self.out) else Path(self.address("logs"))

    def publish_failure(self, key: str, traceback: str) -> str:
        """Write the traceback of a failed job, to a temporary file if this folder refuses it; returns its path."""
        name = f"{key}.txt"
        try:
            self.publish(traceback.encode(), "logs", name)
        except OSError:
            spare = self.spare_folder / name
            spare.write_text(traceback)
            return str(spare)
        return self.address("logs", name)

    def publish_model(self, key: str, weights: bytes, manifest: dict[str, Any]) -> None:
        self.publish(weights, "models", key, WEIGHTS_FILE)
        self.publish(json.dumps(manifest, indent=1, sort_keys=True).encode(), "models", key, MANIFEST_FILE)

    def read_model(self, key: str) -> tuple[bytes, dict[str, Any]]:
        """Weights and manifest of a published model. Raises InputError if a file is damaged.

        Manifests of version 0.1 have no hash; their weights are not checked.
        """
        weights, manifest = self.read_weights(key), self.read_manifest(key)
        digest = hashlib.sha256(weights).hexdigest()
        if manifest.get("weights_sha256", digest) != digest:
            raise self.damaged_model(key, WEIGHTS_FILE)
        return weights, manifest

    def read_weights(self, key: str) -> bytes:
        """The safetensors of a published model."""
        return self.read("models", key, WEIGHTS_FILE)

    def read_manifest(self, key: str) -> dict[str, Any]:
        """The manifest of a published model. Raises InputError if the file is damaged."""
        content = self.read("models", key, MANIFEST_FILE)
        try:
            manifest = json.loads(content)
            if manifest["model_key"] == key:
                return manifest
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        raise self.damaged_model(key, MANIFEST_FILE)

    def damaged_model(self, key: str, name: str) -> InputError:
        """The error for a damaged file of a published model."""
        folder = self.address("models", key)
        return InputError(f"{self.address('models', key, name)} is damaged; delete {folder}, and rerun the command.")

    def publish_checkpoint(self, key: str, state: bytes) -> None:
        """Write the checkpoint of an unfinished training, replacing the last one."""
        self.publish(state, "checkpoints", f"{key}.safetensors")

    def read_checkpoint(self, key: str) -> bytes | None:
        """The last checkpoint of the training of model `key`, or None."""
        try:
            return self.read("checkpoints", f"{key}.safetensors")
        except FileNotFoundError:
            return None

    def drop_checkpoint(self, key: str) -> None:
        self.drop("checkpoints", f"{key}.safetensors")

    def publish_table(self, table: str, key: str, columns: dict[str, Any]) -> None:
        """Publish the rows of one job in `table`; `columns` must fit its schema."""
        buffer = BytesIO()
        pq.write_table(pa.table(columns, schema=SCHEMAS[table]), buffer, compression="zstd")
        self.publish(buffer.getvalue(), "results", table, f"{key}.parquet")

    def read_table(self, table: str, key: str) -> list[dict[str, Any]]:
        """The published rows of one job in `table`. Raises FileNotFoundError if there are none yet."""
        return pq.read_table(pa.BufferReader(self.read("results", table, f"{key}.parquet"))).to_pylist()

    def publish_study(self, summary: dict[str, Any]) -> None:
        """Write which jobs a study has, for `read_studies`; a study that is already there is not changed.

        Raises InputError if it cannot be written.
        """
        text = json.dumps(summary, sort_keys=True)
        name = f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
        with self._writing():
            if not self.exists("studies", name):
                started_at = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
                self.publish(json.dumps({**summary, "started_at": started_at}).encode(), "studies", name)

    def published_models(self) -> set[str]:
        files = self.place.names("models", recursive=True)
        return {key for key, _, name in (file.partition("/") for file in files) if name == MANIFEST_FILE}

    def published_rows(self) -> set[str]:
        return self._stems(".parquet", "results", "runs")

    def published_measures(self) -> set[str]:
        return self._stems(".parquet", "results", "measures")

    def published(self, what: str) -> set[str]:
        """Keys of the published jobs that make a `model`, a `row` or `measures`."""
        return {"model": self.published_models, "row": self.published_rows, "measures": self.published_measures}[what]()

    def has(self, what: str, key: str) -> bool:
        """Whether the `model`, `row` or `measures` of a key is published."""
        if what == "measures":
            return self.exists("results", "measures", f"{key}.parquet")
        return self.has_model(key) if what == "model" else self.has_row(key)

    def _stems(self, suffix: str, *parts: str) -> set[str]:
        """The names of the complete files of one kind in a folder, without their suffix."""
        return {name.removesuffix(suffix) for name in self.place.whole(suffix, *parts)}

    def has_model(self, key: str) -> bool:
        return self.exists("models", key, MANIFEST_FILE)

    def has_row(self, key: str) -> bool:
        return self.exists("results", "runs", f"{key}.parquet")

    def check(self) -> None:
        """Raise InputError unless the folder is new, empty, or has results of this schema version. Writes nothing.

        Raises InputError for a bucket that cannot be reached.
        """
        if not self.place.exists():
            if Path(self.out).exists():
                raise InputError(f"--out {self.out} is a file; give a folder.")
            return
        try:
            version = json.loads(self.read(FORMAT_FILE))["schema_version"]
        except FileNotFoundError:
            if not self.place.is_empty():
                raise InputError(f"--out {self.out} contains other files; give a new or empty folder.") from None
            return
        except (ValueError, KeyError, TypeError, OSError):
            raise InputError(f"{self.address(FORMAT_FILE)} cannot be read; give another --out folder.") from None
        if version != SCHEMA_VERSION:
            raise InputError(
                f"--out {self.out} contains results of schema version {version}, and this program writes "
                f"version {SCHEMA_VERSION}; give another folder."
            )

    def check_keys(self) -> None:
        """Raise InputError if the results here have keys of another format: a run would compute each a second time.

        Call it after `check`.
        """
        if self._has_our_keys() or not (self.published_rows() or self.published_models()):
            return
        raise InputError(
            f"--out {self.out} contains results of a version with another key format, so a run would compute each of "
            "them a second time; give another folder. The results can still be read."
        )

    def _has_our_keys(self) -> bool:
        """Whether the folder's marker has this version's key format; the first versions wrote none."""
        try:
            return json.loads(self.read(FORMAT_FILE)).get("key_format") == FORMAT_VERSION
        except FileNotFoundError:
            return False

    def create(self) -> None:
        """Create the folder and its marker. Raises InputError if PROBE_BYTES cannot be written."""
        with self._writing():
            if not storage.is_remote(self.out):
                make_private(Path(self.out))
            if not self._has_our_keys():
                marker = {"format": "salun-grid", "schema_version": SCHEMA_VERSION, "key_format": FORMAT_VERSION}
                self.publish(json.dumps(marker).encode(), FORMAT_FILE)
            probe = f".{uuid.uuid4().hex}"
            self.publish(bytes(PROBE_BYTES), "logs", probe)
            self.drop("logs", probe)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn an OSError before a run into an InputError, since the user can fix it."""
        try:
            yield
        except OSError as error:
            raise InputError(f"cannot write to --out {self.out}: {storage.reason(error)}.") from None
