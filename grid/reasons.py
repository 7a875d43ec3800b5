"""Why a job failed, in one line: from a traceback, or from Ray's long text about a process that died."""

import re
from pathlib import Path

from salun_grid.records.text import printable

FEWER_JOBS = "a larger --cpus-per-job runs fewer jobs at once"

PROCESS_ENDED_PATTERN = r"[Aa]ctor (died|is dead)"
PROCESS_ENDED = "its process was killed or lost its connection, without a Python error"
# Ray's texts about a process that ended, and what each means; the first that matches counts.
DEATHS = {
    r"running low on memory": f"its machine ran low on memory and Ray killed its process; {FEWER_JOBS}",
    r"node has died|node was (preempted|terminated)": "its machine went away",
    PROCESS_ENDED_PATTERN: PROCESS_ENDED,
}
# The signals that Python's faulthandler records, by its words for them.
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

    `reason` is a traceback, or Tune's record of several failures, followed by what `with_evidence` adds.
    """
    *_, last = re.split(r"^Failure # \d+ .*\n", reason, flags=re.MULTILINE)
    attempts = len(re.findall(r"^Failure # ", reason, re.MULTILINE))
    meanings = [meaning for pattern, meaning in DEATHS.items() if re.search(pattern, last)]
    text = meanings[0] if meanings else exception_line(last)
    if text == PROCESS_ENDED:
        text = crash(last) or text
        if OUT_OF_MEMORY_KILLS in last:
            text += f"; the kernel killed processes of this machine for lack of memory meanwhile: {FEWER_JOBS}"
    return f"{text} ({attempts} attempts)" if attempts > 1 else text


def crash(text: str) -> str:
    """The fatal signal that faulthandler recorded in `text`, in words, or ""."""
    found = re.search(r"^Fatal Python error: (.+)$", text, flags=re.MULTILINE)
    return f"its process crashed with {SIGNALS.get(found[1], found[1])}" if found else ""


def with_evidence(reason: str, crash_record: str, out_of_memory_kills: int) -> str:
    """`reason` with what else is known where a process ended: faulthandler's record, kernel kills on this machine."""
    if not re.search(PROCESS_ENDED_PATTERN, reason):
        return reason
    kills = f"{OUT_OF_MEMORY_KILLS}{out_of_memory_kills}\n" if out_of_memory_kills else ""
    return "\n".join(part.rstrip("\n") for part in (reason, crash_record, kills) if part) + "\n"


def kernel_out_of_memory_kills() -> int:
    """Processes that this machine's kernel has killed for lack of memory since it booted; 0 where it does not tell."""
    try:
        counters = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
        return int(counters.get("oom_kill", 0))
    except (OSError, ValueError):
        return 0


def exception_line(traceback: str) -> str:
    """What stands below the last frame of a traceback: the exception and its message, cut after MAX_CHARACTERS."""
    frames = re.split(r'^  File ".*\n(?:    .*\n)*', traceback, flags=re.MULTILINE)
    text = printable(" ".join(frames[-1].split()))
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]} …"
