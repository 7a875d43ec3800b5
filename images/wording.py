"""Counts and lists in sentences."""

from collections.abc import Sequence


def counted(count: int, noun: str) -> str:
    """`1 image`, `2,000 images`, `2 classes`."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def some(names: Sequence[str], count: int = 3) -> str:
    """The first names, and an ellipsis if there are more."""
    return ", ".join(names[:count]) + (", …" if len(names) > count else "")
