"""The problems of a document, as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentainer_tui.inspector.entries import Line
from agentainer_tui.text import clean


def problems_lines(problems: Sequence[Any]) -> list[Line]:
    """The problems of a document, each with its position."""
    lines: list[Line] = []
    for problem in problems:
        is_error = problem.severity == "error"
        place = f"{problem.line}:{problem.column}  " if problem.line else ""
        lines.append(((place, "muted"), (clean(problem.message), "error" if is_error else "warning")))
    return lines
