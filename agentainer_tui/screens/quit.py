"""Leaving while runs are in progress: says what is running and what happens to it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from textual.content import Content

from agentainer_tui.looks import Glyphs
from agentainer_tui.screens.dialog import Choice, Question
from agentainer_tui.text import clean, counted, duration
from agentainer_tui.views import RunRow, elapsed

_SHOWN = 8


class Leave(Enum):
    """How to leave."""

    WHEN_DONE = "when done"
    CANCEL = "cancel"


def quit_question(active: Sequence[RunRow], glyphs: Glyphs, now: float) -> Question[Leave]:
    """The dialog; its first answer is to stay."""
    rows = [
        Content.assemble(
            (f"  {glyphs.of(run.status)} ", "$primary"),
            clean(run.workflow, limit=40),
            (f"  {run.id[:6]}", "$foreground 50%"),
            (f"  {_how_far(run, now)}", "$foreground 62%"),
        )
        for run in active[:_SHOWN]
    ]
    if len(active) > _SHOWN:
        rows.append(Content(f"    and {len(active) - _SHOWN} more"))
    return Question(
        f"{counted(len(active), 'run')} in progress",
        [
            *rows,
            "",
            "The engine lives in this program: when it leaves, nothing goes on running. Wait until the "
            "runs are over, or cancel them: their tasks are stopped, their results stay, and a cancelled "
            "run can be retried from where it was.",
        ],
        [
            Choice("Stay", None),
            Choice("Leave when done", Leave.WHEN_DONE),
            Choice("Cancel and leave", Leave.CANCEL, danger=True),
        ],
    )


def _how_far(run: RunRow, now: float) -> str:
    """Steps that are over, how long it has run, and what it waits for."""
    steps = f"{run.done} of {counted(run.total, 'step')}" if run.total else "not started"
    took = duration(elapsed(run.started_at, None, now)) if run.started_at is not None else ""
    waits = f"{counted(run.gates, 'step')} to approve" if run.gates else ""
    return ", ".join(part for part in (steps, took, waits) if part)
