"""Markdown tables of `benchmarks.on_gpu`, for docs/performance.md."""

import statistics
from typing import Any

from benchmarks.gpu_variants import Case
from benchmarks.measure import number, table

NO_VALUE = "needs CUDA"
CASE_HEADER = ["variant", "seconds: min / median / max", "n", "images/s", "first run, s", "speed-up"]


def page(report: dict[str, Any]) -> str:
    """All parts so far, their environments, and the failures."""
    parts = report["parts"]
    blocks = [section(name, part["result"]) for name, part in parts.items()]
    if any(part["settings"]["tiny"] for part in parts.values()):
        blocks.insert(0, "**Rehearsal at tiny size: these numbers say nothing about speed or unlearning.**")
    blocks += [f"Part `{name}` failed: {escaped(reason)}." for name, reason in report["failed"].items()]
    return "\n\n".join([*blocks, *notes(parts)]) + "\n"


def notes(parts: dict[str, Any]) -> list[str]:
    """One line per environment, with the parts measured in it."""
    where: dict[str, list[str]] = {}
    for name, part in parts.items():
        line = ", ".join(f"{fact} {value}" for fact, value in part["facts"].items())
        where.setdefault(line, []).append(name)
    return [f"Measured ({', '.join(names)}) on: {line}." for line, names in where.items()]


def section(name: str, result: dict[str, Any]) -> str:
    heading, render = SECTIONS[name]
    return f"### {heading}\n\n{render(result)}"


def cases(result: dict[str, Any]) -> str:
    return "\n\n".join(one_case(Case(**case)) for case in result["cases"])


def one_case(case: Case) -> str:
    rows = [timed_row(case, name) if name in case.seconds else failed_row(case, name) for name in case.variants]
    title = case.name[0].upper() + case.name[1:]
    return f"{title}; variants in turn:\n\n{table(CASE_HEADER, rows)}"


def timed_row(case: Case, variant: str) -> list[str]:
    seconds = case.seconds[variant]
    spread = " / ".join(number(end(seconds)) for end in (min, statistics.median, max))
    median = statistics.median(seconds)
    reference = case.seconds.get(case.reference)
    speed_up = f"{statistics.median(reference) / median:.2f}" if reference else "–"
    return [variant, spread, str(len(seconds)), number(case.work / median), number(case.first[variant]), speed_up]


def failed_row(case: Case, variant: str) -> list[str]:
    return [variant, escaped(case.failed[variant]), "0", "–", "–", "–"]


def tests(result: dict[str, Any]) -> str:
    counts = result["counts"]
    line = f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
    if counts["skipped"] and not counts["passed"]:
        line += f" ({NO_VALUE})"
    broken = [f"- `{name}`: {escaped(message)}" for name, message in result["failures"].items()]
    return "\n".join([f"Tests that only run with CUDA: {line}.", *([""] if broken else []), *broken])


def memory(result: dict[str, Any]) -> str:
    header = ["epoch", "device: allocated / reserved, MiB", "host, MiB", "host syncs"]
    rows = []
    for name, found in result["variants"].items():
        if "failed" in found:
            rows.append([name, escaped(found["failed"]), "–", "–"])
            continue
        on_device = [found["device_allocated_mib"], found["device_reserved_mib"]]
        device = " / ".join(number(value) for value in on_device if value is not None) or NO_VALUE
        syncs = NO_VALUE if found["syncs_per_epoch"] is None else str(found["syncs_per_epoch"])
        rows.append([name, device, number(found["host_mib"]), syncs])
    note = (
        "Peaks of a process of its own, n = 1, without the workers of a DataLoader. Host syncs are the warnings of "
        "PyTorch's `set_sync_debug_mode` in the second epoch; the explicit synchronisation at the ends of a timed pass "
        "is not among them."
    )
    return f"{table(header, rows)}\n\n{note}"


def study(result: dict[str, Any]) -> str:
    names = ("ua", "ra", "ta", "mia", "ag", "ag3")
    header = ["model", "UA", "RA", "TA", "MIA", "AG", "AG3", "RTE, minutes", "training, s", "images/s"]
    rows = []
    for row in result["rows"]:
        values = ["–" if row[name] is None else f"{row[name]:.2f}" for name in names]
        timing = [f"{row['rte_minutes']:.2f}", number(row["seconds"]), number(row["images_per_second"])]
        rows.append([row["method"], *values, *timing])
    unfinished = [f"{name}: {done} of {result['epochs']} epochs" for name, done in result["unfinished"].items()]
    state = f" Unfinished: {', '.join(unfinished)}." if unfinished else "" if result["complete"] else " Unfinished."
    counts = " / ".join(f"{count:,}" for count in result["num_images"].values())
    about = (
        f"{result['dataset']} ({counts} train / val / test images, {result['image_size']} px), forget rate "
        f"{result['forget_rate']:g}, augmentation {result['augmentation']}, seed {result['seed']}, {result['epochs']} "
        f"epochs, {result['precision']} ({result['precision_reason']}){', compiled' if result['compiled'] else ''}; "
        f"n = 1, so no verdict.{state}"
    )
    return f"{table(header, rows)}\n\n{about}"


def escaped(text: str) -> str:
    """`text` escaped for a table cell."""
    return " ".join(text.split()).replace("|", "\\|")


SECTIONS = {
    "tests": ("Tests", tests),
    "fp32": ("An epoch of training, fp32 (convolutions in TF32, PyTorch's default)", cases),
    "bf16": ("An epoch of training, bf16", cases),
    "salun": ("SalUn in parts", cases),
    "memory": ("Memory and host syncs", memory),
    "study": ("One cell of the protocol `paper`", study),
}
