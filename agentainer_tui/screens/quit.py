"""Leaving while runs are in progress: says what is running and what happens to it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from textual.content import Content

from agentainer_tui.screens.dialog import Choice, Question
from agentainer_tui.text import clean, counted
from agentainer_tui.views import RunRow

_SHOWN = 8


class Leave(Enum):
    """How to leave."""

    WHEN_DONE = "when done"
    CANCEL = "cancel"


def quit_question(active: Sequence[RunRow], grace: str = "") -> Question[Leave]:
    """The dialog; its first answer is to stay."""
    rows = [
        Content.assemble(
            ("  ● ", "$primary"), clean(run.workflow, limit=50), (f"  {run.id[:6]}", "$foreground 50%")
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
            "runs are over, or cancel them; a cancelled run can be retried from where it was.",
        ],
        [
            Choice("Stay", None),
            Choice("Leave when done", Leave.WHEN_DONE),
            Choice("Cancel and leave", Leave.CANCEL, danger=True),
        ],
    )
