"""The out folder: what is done is what is published under its key, whole or not at all.

OUT/format.json                     what this folder is, and its schema's version
OUT/models/<key>/weights.safetensors + manifest.json (last: it makes the model count as published)
OUT/results/{runs,epochs,predictions}/<key>.parquet (runs last: it makes the row count as published)
OUT/checkpoints/<key>.safetensors   the state of an unfinished training
OUT/studies/<hash>.json             the jobs of each study started here
OUT/driver.json                     the sign of life of the run that works here
OUT/logs/                           what Ray said, and each failed job's traceback
"""

import hashlib
import json
import os
import uuid
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.schemas import SCHEMA_VERSION, SCHEMAS
from trainables.errors import InputError

FORMAT_FILE = "format.json"


class Store:
    """Files under one local (or mounted) folder. Creating a Store touches nothing."""

    def __init__(self, out: str) -> None:
        self.out, self.root = out, Path(out)

    def path(self, *parts: str) -> Path:
        return self.root.joinpath(*parts)

    def publish(self, content: bytes, *parts: str) -> None:
        """Write a file so that a reader sees all of it or none: beside it first, to disk, then renamed."""
        target = self.path(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def read_json(self, *parts: str) -> dict[str, Any] | None:
        """A published JSON file, or None where there is none."""
        try:
            return json.loads(self.path(*parts).read_bytes())
        except FileNotFoundError:
            return None

    def drop(self, *parts: str) -> None:
        """Remove a published file, if it is there."""
        self.path(*parts).unlink(missing_ok=True)

    def publish_model(self, key: str, weights: bytes, manifest: dict[str, Any]) -> None:
        self.publish(weights, "models", key, "weights.safetensors")
        self.publish(json.dumps(manifest, indent=1, sort_keys=True).encode(), "models", key, "manifest.json")

    def read_weights(self, key: str) -> bytes:
        """The safetensors of a published model."""
        return self.path("models", key, "weights.safetensors").read_bytes()

    def read_manifest(self, key: str) -> dict[str, Any]:
        """What a published model is and how it came to be."""
        return json.loads(self.path("models", key, "manifest.json").read_text())

    def publish_checkpoint(self, key: str, state: bytes) -> None:
        """Keep the state of an unfinished training, in place of an earlier one."""
        self.publish(state, "checkpoints", f"{key}.safetensors")

    def read_checkpoint(self, key: str) -> bytes | None:
        """The last state of the training of model `key`, or None."""
        path = self.path("checkpoints", f"{key}.safetensors")
        return path.read_bytes() if path.exists() else None

    def drop_checkpoint(self, key: str) -> None:
        self.path("checkpoints", f"{key}.safetensors").unlink(missing_ok=True)

    def publish_table(self, table: str, key: str, columns: dict[str, Any]) -> None:
        """Publish the rows of one job in `table`; `columns` must fit its schema."""
        buffer = BytesIO()
        pq.write_table(pa.table(columns, schema=SCHEMAS[table]), buffer, compression="zstd")
        self.publish(buffer.getvalue(), "results", table, f"{key}.parquet")

    def publish_study(self, summary: dict[str, Any]) -> None:
        """Note which jobs a study has, for `read_studies`; the same study again changes nothing."""
        text = json.dumps(summary, sort_keys=True)
        name = f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
        if not self.path("studies", name).exists():
            started_at = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
            self.publish(json.dumps({**summary, "started_at": started_at}).encode(), "studies", name)

    def read_studies(self) -> list[dict[str, Any]]:
        """Every study started here, the oldest first."""
        studies = [json.loads(path.read_text()) for path in self.path("studies").glob("[!.]*.json")]
        return sorted(studies, key=lambda study: study["started_at"])

    def published_models(self) -> set[str]:
        return {path.parent.name for path in self.path("models").glob("*/manifest.json")}

    def published_rows(self) -> set[str]:
        return {path.stem for path in self.path("results", "runs").glob("[!.]*.parquet")}

    def has_model(self, key: str) -> bool:
        return self.path("models", key, "manifest.json").is_file()

    def check(self) -> None:
        """Raise InputError unless the folder is new, empty, or holds this version's results. Writes nothing."""
        if not self.root.exists():
            return
        if not self.root.is_dir():
            raise InputError(f"--out {self.root} is a file; give a folder.")
        marker = self.path(FORMAT_FILE)
        if not marker.exists():
            if any(self.root.iterdir()):
                raise InputError(f"--out {self.root} holds other files; give a new or empty folder.")
            return
        try:
            version = json.loads(marker.read_text())["schema_version"]
        except (ValueError, KeyError, TypeError, OSError):
            raise InputError(f"{marker} cannot be read; give another --out folder.") from None
        if version != SCHEMA_VERSION:
            raise InputError(
                f"--out {self.root} holds results of schema version {version}, and this program writes "
                f"version {SCHEMA_VERSION}; give another folder."
            )

    def create(self) -> None:
        """Make the folder and mark it as ours. Raises InputError where that cannot be written."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            marker = json.dumps({"format": "salun-grid", "schema_version": SCHEMA_VERSION})
            if not self.path(FORMAT_FILE).exists():
                self.publish(marker.encode(), FORMAT_FILE)
            self.path("logs").mkdir(exist_ok=True)
            probe = self.path("logs", f".{uuid.uuid4().hex}")
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise InputError(f"cannot write to --out {self.root}: {error.strerror or error}.") from None
