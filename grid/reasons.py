"""The reason of a failed job in one line, from a traceback or from Ray's report of a dead process."""

import re
from pathlib import Path

from salun_grid.records.text import printable

FEWER_JOBS = "raise --cpus-per-job to run fewer jobs at once"

PROCESS_ENDED_PATTERN = r"[Aa]ctor (died|is dead)"
PROCESS_ENDED = "its process was killed or lost its connection, without a Python error"
# Ray's messages about a dead process and what each means; the first match counts.
DEATHS = {
    r"running low on memory": f"its node ran low on memory and Ray killed its process; {FEWER_JOBS}",
    r"node has died|node was (preempted|terminated)": "its node died",
    PROCESS_ENDED_PATTERN: PROCESS_ENDED,
}
# The signals that Python's faulthandler records, by its names for them.
SIGNALS = {
    "Segmentation fault": "signal 11 (SIGSEGV)",
    "Aborted": "signal 6 (SIGABRT)",
    "Bus error": "signal 7 (SIGBUS)",
    "Illegal instruction": "signal 4 (SIGILL)",
    "Floating-point exception": "signal 8 (SIGFPE)",
}
OUT_OF_MEMORY_KILLS = "Kernel out-of-memory kills since the run started: "
MAX_CHARACTERS = 300


def in_one_line(reason: str) -> str:
    """The last failure of a job, and the number of attempts.

    `reason` is a traceback, or Tune's record of several failures, followed by the output of `with_evidence`.
    """
    *_, last = re.split(r"^Failure # \d+ .*\n", reason, flags=re.MULTILINE)
    attempts = len(re.findall(r"^Failure # ", reason, re.MULTILINE))
    meanings = [meaning for pattern, meaning in DEATHS.items() if re.search(pattern, last)]
    text = meanings[0] if meanings else exception_line(last)
    if text == PROCESS_ENDED:
        text = crash(last) or text
        if OUT_OF_MEMORY_KILLS in last:
            text += f"; the kernel of this machine killed processes for lack of memory during the run: {FEWER_JOBS}"
    return f"{text} ({attempts} attempts)" if attempts > 1 else text


def crash(text: str) -> str:
    """The fatal signal that faulthandler recorded in `text`, as a sentence, or ""."""
    found = re.search(r"^Fatal Python error: (.+)$", text, flags=re.MULTILINE)
    return f"its process crashed with {SIGNALS.get(found[1], found[1])}" if found else ""


def with_evidence(reason: str, crash_record: str, out_of_memory_kills: int) -> str:
    """`reason` and, if a process died, faulthandler's record and the number of kernel kills on this machine."""
    if not re.search(PROCESS_ENDED_PATTERN, reason):
        return reason
    kills = f"{OUT_OF_MEMORY_KILLS}{out_of_memory_kills}\n" if out_of_memory_kills else ""
    return "\n".join(part.rstrip("\n") for part in (reason, crash_record, kills) if part) + "\n"


def kernel_out_of_memory_kills() -> int:
    """Number of processes that the kernel has killed for lack of memory since boot; 0 if unknown."""
    try:
        counters = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
        return int(counters.get("oom_kill", 0))
    except (OSError, ValueError):
        return 0


def exception_line(traceback: str) -> str:
    """The exception and its message at the end of a traceback, cut after MAX_CHARACTERS."""
    frames = re.split(r'^  File ".*\n(?:    .*\n)*', traceback, flags=re.MULTILINE)
    text = printable(" ".join(frames[-1].split()))
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]} …"
