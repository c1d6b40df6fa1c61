"""Problems of a document as lines: where, what, and the line of the file with a caret under the place.

The file is somebody's and may hold anything: every line is cleaned, and cut around the place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from rich.cells import cell_len

from agentainer_tui.looks import Glyphs
from agentainer_tui.text import clean, fit
from engine.errors import Problem, Severity

if TYPE_CHECKING:
    from agentainer_tui.inspector.entries import Line

# Cells before the place that stay in sight of a long line.
_LEAD = 24


def problem_lines(
    problems: Iterable[Problem], lines: Mapping[int, str], width: int, glyphs: Glyphs
) -> Iterator[Line]:
    """Each problem with its position, errors first, and its line of the file if that is known."""
    for problem in sorted(problems, key=lambda each: each.severity is not Severity.ERROR):
        ink = "error" if problem.severity is Severity.ERROR else "warning"
        place = f"{problem.line}:{problem.column}  " if problem.line else ""
        yield (place, "muted"), (clean(problem.message), ink)
        if not lines.get(problem.line, "").strip() and problem.line - 1 in lines:
            yield from _source(problem.line - 1, lines[problem.line - 1], width, glyphs)
        if problem.line in lines:
            yield from _excerpt(problem, lines[problem.line], width, glyphs, ink)


def _source(number: int, text: str, width: int, glyphs: Glyphs) -> Iterator[Line]:
    gutter = f"{number:>5} {glyphs.tick} "
    shown = fit(text.rstrip(), max(8, width - len(gutter)), ellipsis=glyphs.ellipsis).rstrip()
    yield (gutter, "faint"), (shown, "muted")


def _excerpt(problem: Problem, text: str, width: int, glyphs: Glyphs, ink: str) -> Iterator[Line]:
    gutter = f"{problem.line:>5} {glyphs.tick} "
    room = max(8, width - len(gutter))
    at = max(0, problem.column - 1)
    begin = max(0, at - _LEAD) if cell_len(clean(text)) > room else 0
    lead = glyphs.ellipsis if begin else ""
    shown = fit(lead + text[begin:].rstrip(), room, ellipsis=glyphs.ellipsis).rstrip()
    before = cell_len(lead + clean(text[begin:at]))
    yield (gutter, "faint"), (shown, "text")
    if before < room:
        yield (f"{'':>5} {glyphs.tick} {' ' * before}", "faint"), ("^", ink)
