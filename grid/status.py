"""How far the studies of a folder are. Needs no torch and no Ray, so that the base install can show it."""

from analysis.text import printable
from grid.lock import DriverLock
from grid.store import Store
from trainables.errors import InputError


def describe_status(out: str) -> str:
    """One line on the run that is active in the folder `out`, if any, and one for each study started there."""
    store = Store(out)
    store.check()
    studies = store.read_studies()
    if not studies:
        raise InputError(f"no study was started in {out}; give the --out folder of a run.")
    models, rows = store.published_models(), store.published_rows()
    lines = [DriverLock(store).describe()]
    for study in studies:
        trained, evaluated = set(study["models"]), set(study["rows"])
        done = len(trained & models) + len(evaluated & rows)
        total = len(trained) + len(evaluated)
        lines.append(
            f"{study['study']}: {done}/{total} jobs done: {len(trained & models)}/{len(trained)} models, "
            f"{len(evaluated & rows)}/{len(evaluated)} rows (started {study['started_at']}: {study['command']})"
        )
    return "\n".join(map(printable, lines))
