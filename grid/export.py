"""Export of published models: a list, and the weights and manifest of a model as plain files."""

import shlex
import shutil
import uuid
from pathlib import Path

from salun_grid.analysis.results import Run, read_runs
from salun_grid.grid.store import MANIFEST_FILE, WEIGHTS_FILE, Store
from salun_grid.records.errors import InputError
from salun_grid.records.forget_label import forget_name
from salun_grid.records.storage import is_remote
from salun_grid.records.text import printable


def list_models(out: str) -> str:
    """One line per published model that a row of `runs` evaluates or starts from: its key and description.

    Raises InputError if no row is published.
    """
    store = Store(out)
    store.check()
    models: dict[str, str] = {}
    for run in read_runs(out):
        forgotten = "" if run["method"] == "original" else f" {forget_name(run['forget'])}"
        models[run["model_key"]] = described(run, run["method"] + forgotten)
        models.setdefault(run["original_key"], described(run, "original"))
    published = store.published_models()
    lines = sorted((text, key) for key, text in models.items() if key in published)
    return "\n".join(printable(f"{key}  {text}") for text, key in lines)


def described(run: Run, method: str) -> str:
    cell = f"{run['dataset']} {run['image_size']} px · {run['augmentation']} · seed {run['seed']}"
    return f"{method} · {cell} · {run['model']}"


def export_model(out: str, key: str, to: str | None) -> Path:
    """Copy the published model whose key starts with `key` into the new folder `to`, default ./KEY; returns it.

    Raises InputError if no model or several match, or if the folder exists or cannot be created.
    """
    store = Store(out)
    store.check()
    key = whole_key(store, key)
    if to and is_remote(to):
        raise InputError(f"--to {to} is not a local folder; give one.")
    folder = Path(to or key)
    if folder.exists():
        raise InputError(f"{folder} already exists and is not overwritten; give a new folder with --to.")
    weights, _ = store.read_model(key)
    manifest = store.read("models", key, MANIFEST_FILE)
    partial = folder.absolute().with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.mkdir(parents=True)
        (partial / WEIGHTS_FILE).write_bytes(weights)
        (partial / MANIFEST_FILE).write_bytes(manifest)
        partial.rename(folder)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def whole_key(store: Store, start: str) -> str:
    """The key of the only published model whose key starts with `start`. Raises InputError if none or several do."""
    found = sorted(key for key in store.published_models() if key.startswith(start))
    how = f"`salun-grid export --out {shlex.quote(store.out)}` lists them"
    if not found:
        raise InputError(f"no model {start!r} is published in {store.out}; {how}.")
    if len(found) > 1:
        raise InputError(f"{len(found)} models of {store.out} start with {start!r}; give more digits ({how}).")
    return found[0]
