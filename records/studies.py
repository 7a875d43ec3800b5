"""The studies started in a result folder, as recorded in its study files."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from salun_grid.records.question import Question
from salun_grid.records.storage import Place

MAX_BYTES = 2**27  # 100,000 jobs take 5 MB


@dataclass(frozen=True)
class StartedStudy:
    """A study's name, start command and start time, the keys of its models, rows and measures, and its question.

    `question` is None where the study was started before questions were declared.
    """

    name: str
    command: str
    started_at: str
    models: frozenset[str]
    rows: frozenset[str]
    measures: frozenset[str] = frozenset()
    question: Question | None = None

    @classmethod
    def parse(cls, content: bytes) -> "StartedStudy | None":
        """The study in a file, or None if it is damaged; `originals` and `evaluated` are older field names."""
        try:
            found: dict[str, Any] = json.loads(content)
            models: Any = found.get("models", found.get("originals", []))
            rows: Any = found.get("rows", found.get("evaluated"))
            measures: Any = found.get("measures", [])
            name, command, started_at = found["study"], found["command"], found.get("started_at", "")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if not all(isinstance(part, list) for part in (models, rows, measures)):
            return None
        keys = (*models, *rows, *measures)
        if not all(isinstance(word, str) for word in (name, command, started_at, *keys)):
            return None
        question = Question.parse(found.get("question"))
        return cls(name, command, started_at, frozenset(models), frozenset(rows), frozenset(measures), question)


def read_studies(place: Place) -> tuple[list[StartedStudy], list[str]]:
    """Every study started in a folder, oldest first, and the damaged files that were skipped."""
    studies, damaged = [], []
    for name in place.whole(".json", "studies"):
        path = place.inside("studies", name)
        try:
            with place.files.open_input_file(path) as file:
                study = StartedStudy.parse(file.read(MAX_BYTES))
        except OSError:
            study = None
        if study is None:
            damaged.append(path)
        else:
            studies.append(study)
    return sorted(studies, key=lambda study: study.started_at), damaged


def declared_question(studies: Iterable[StartedStudy]) -> Question | None:
    """The question of the study that was started first, with the methods of all: a later study only adds to the family.

    None where no study declared one.
    """
    questions = [study.question for study in studies if study.question]
    methods = dict.fromkeys(method for question in questions for method in question.methods)
    return replace(questions[0], methods=tuple(methods)) if questions else None
