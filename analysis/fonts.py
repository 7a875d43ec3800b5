"""Fonts for names in any script: an installed font with the glyphs that matplotlib's default lacks."""

import warnings
from functools import cache
from typing import Any

import click
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, findfont, fontManager, get_font
from matplotlib.text import Text

DEFAULT = "DejaVu Sans"  # comes with matplotlib
BOXES = "Last Resort"  # comes with matplotlib too; a box for every character


def draw(figure: Figure, target: Any, **options: Any) -> None:
    """`figure.savefig(target, **options)` with glyphs for every name and without matplotlib's warnings.

    Prints the characters without a glyph in any installed font once, on stderr.
    """
    texts = figure.findobj(Text)
    characters = {sign for text in texts for sign in text.get_text() if sign.isprintable()}
    families, without = fallbacks(frozenset(characters - glyphs_of(findfont(DEFAULT))))
    if families:
        for text in texts:
            text.set_fontfamily([DEFAULT, *families])
    if without:
        _tell(without)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font|constrained_layout not applied")
        figure.savefig(target, **options)


@cache
def fallbacks(characters: frozenset[str]) -> tuple[list[str], str]:
    """Font families that cover most of `characters`, the widest coverage first, and the characters not covered."""
    missing, families = set(characters), []
    real = [entry for entry in fontManager.ttflist if not entry.name.startswith(BOXES)]
    fonts = {entry.name: entry for entry in sorted(real, key=_preference, reverse=True)}
    coverage = {name: glyphs_of(fonts[name].fname) & missing for name in reversed(fonts)} if missing else {}
    while missing:
        # max() returns the first of equals, and preferred fonts come first.
        best = max(coverage, key=lambda name: len(coverage[name] & missing))
        if not coverage[best] & missing:
            break
        families.append(best)
        missing -= coverage[best]
    return families, "".join(sorted(missing))


def _preference(entry: FontEntry) -> tuple:
    """Sort key: regular sans-serif fonts first, then by name."""
    return ("Sans" not in entry.name, entry.style != "normal", str(entry.weight) not in ("400", "normal"), entry.name)


@cache
def glyphs_of(path: str) -> frozenset[str]:
    """The characters of a font file; empty if it cannot be read."""
    try:
        return frozenset(map(chr, get_font(path).get_charmap()))
    except (RuntimeError, OSError):
        return frozenset()


@cache
def _tell(characters: str) -> None:
    click.echo(f"No installed font has {characters}; figures show boxes instead.", err=True)
