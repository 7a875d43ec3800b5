"""Why a job failed, in one line: from a traceback, or from Ray's long text about a process that died."""

import re

from analysis.text import printable

# What Ray says of a process that is no more, and what that means; the first that fits counts.
DEATHS = {
    r"running low on memory": "its machine ran low on memory and Ray killed its process; more --cpus-per-job run fewer "
    "jobs at once",
    r"node has died|node was (preempted|terminated)": "its machine went away",
    r"[Aa]ctor (died|is dead)": "its process died; if the system killed it for want of memory, more --cpus-per-job run "
    "fewer jobs at once",
}
MAX_CHARACTERS = 300


def in_one_line(reason: str) -> str:
    """The last failure of a job, and how often it was tried; `reason` is a traceback, or what Tune wrote of several."""
    *_, last = re.split(r"^Failure # \d+ .*\n", reason, flags=re.MULTILINE)
    attempts = len(re.findall(r"^Failure # ", reason, re.MULTILINE))
    meanings = [meaning for pattern, meaning in DEATHS.items() if re.search(pattern, last)]
    text = meanings[0] if meanings else exception_line(last)
    return f"{text} ({attempts} attempts)" if attempts > 1 else text


def exception_line(traceback: str) -> str:
    """What stands below the last frame of a traceback: the exception and its message, cut after MAX_CHARACTERS."""
    frames = re.split(r'^  File ".*\n(?:    .*\n)*', traceback, flags=re.MULTILINE)
    text = printable(" ".join(frames[-1].split()))
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]} …"
