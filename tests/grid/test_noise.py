"""What Ray prints and logs goes to a file, whatever becomes of the file."""

import logging
import sys
from pathlib import Path

from salun_grid.grid.on_ray.cluster import noise_in
from tests.support.full_disk import no_file_larger_than


def say(word: str) -> None:
    print("printed", word)
    print("complained", word, file=sys.stderr)
    logging.getLogger("ray").error("logged %s", word)


def test_a_full_disk_shortens_the_log_and_stops_nothing(tmp_path: Path) -> None:
    log = tmp_path / "ray.log"
    with noise_in(log):
        say("first")
        before = log.stat().st_size
        with no_file_larger_than(before):
            say("second")
        assert log.stat().st_size == before
        say("third")
    text = log.read_text()
    for word, count in (("first", 1), ("second", 0), ("third", 1)):
        assert [text.count(f"{how} {word}") for how in ("printed", "complained", "logged")] == [count] * 3


def test_a_disk_that_is_full_from_start_to_end(tmp_path: Path) -> None:
    with no_file_larger_than(0), noise_in(tmp_path / "ray.log"):
        say("lost")
    assert (tmp_path / "ray.log").read_text() == ""
