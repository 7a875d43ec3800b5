"""Progress of the studies of a folder. Imports neither torch nor Ray, so that it works in the base install."""

from salun_grid.grid.lock import DriverLock
from salun_grid.grid.store import Store
from salun_grid.records.errors import InputError
from salun_grid.records.studies import read_studies
from salun_grid.records.text import printable


def describe_status(out: str) -> str:
    """One line on the active run in the folder `out`, if any, and one per study started there."""
    store = Store(out)
    store.check()
    studies, damaged = read_studies(store.place)
    if not studies and not damaged:
        raise InputError(f"no study was started in {out}; give the --out folder of a run.")
    published = {"models": store.published_models(), "rows": store.published_rows()}
    published["measures"] = store.published_measures()
    lines = [DriverLock(store).describe()]
    for study in studies:
        asked = {"models": study.models, "rows": study.rows, "measures": study.measures}
        done = {what: len(keys & published[what]) for what, keys in asked.items()}
        counts = ", ".join(f"{done[what]}/{len(keys)} {what}" for what, keys in asked.items() if keys)
        total = sum(map(len, asked.values()))
        lines.append(
            f"{study.name}: {sum(done.values())}/{total} jobs done: {counts} "
            f"(started {study.started_at}: {study.command})"
        )
    lines += [
        f"{path} is damaged, so its study is left out; rerun the study's command to rewrite it" for path in damaged
    ]
    return "\n".join(map(printable, lines))
