"""What is said about a workflow: what it is, what was changed since it last ran, what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agentainer_tui.client import WorkflowEntry
from agentainer_tui.edit_words import diff_lines
from agentainer_tui.excerpts import problem_lines
from agentainer_tui.looks import Glyphs
from agentainer_tui.text import clean, clean_lines, counted, fit
from agentainer_tui.views import RunRow

if TYPE_CHECKING:
    from agentainer_tui.inspector.entries import Line

ABOUT_INKS = {
    "error": "$error",
    "warning": "$warning",
    "muted": "$foreground 62%",
    "faint": "$foreground 45%",
    "success": "$success",
    "accent": "$accent",
}
_SIGNS = {"+": "success", "-": "error", "~": "accent"}
_CHANGES, _DESCRIPTION = 6, 3


def about_workflow(entry: WorkflowEntry, last: RunRow | None, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """Lines of at most `width` cells; errors and changes before what is always the same."""
    facts = [Path(entry.path).name]
    if entry.runnable:
        facts.append(counted(len(entry.steps), "step"))
        if entry.params:
            facts.append(counted(len(entry.params), "param"))
    bad = any(problem.severity == "error" for problem in entry.problems)
    # Where there is little room, what is wrong comes before what is always the same.
    for text in clean_lines(entry.description)[:_DESCRIPTION] if entry.description and not bad else ():
        yield ((text, "text"),)
    yield ((clean("  ".join(facts)), "muted"),)
    yield from problem_lines(entry.problems, entry.excerpts, width, glyphs)
    if bad:
        if entry.runnable:
            yield (
                ("The last good version is kept. ", "warning"),
                ("e edits the file.", "muted"),
            )
        else:
            yield (("e edits the file.", "muted"),)
    yield from _changes(entry, last, width)


def _changes(entry: WorkflowEntry, last: RunRow | None, width: int) -> Iterator[Line]:
    """What was changed since the last run, for as long as no run has had it."""
    if not entry.edit or (last is not None and last.digest == entry.digest):
        return
    yield (("Changed since it last ran:", "muted"),) if last is not None else (("Changed:", "muted"),)
    lines = list(diff_lines(entry.edit))
    shown = lines if len(lines) <= _CHANGES else lines[: _CHANGES - 1]
    for each in shown:
        yield ((f"  {each[:1]} ", _SIGNS.get(each[:1], "text")), (fit(each[2:], width - 4).rstrip(), "text"))
    if len(shown) < len(lines):
        yield ((f"    … and {len(lines) - len(shown)} more", "muted"),)
