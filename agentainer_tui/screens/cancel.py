"""Cancelling a run: what runs, and what happens to it."""

from __future__ import annotations

from textual.content import Content

from agentainer_tui.screens.dialog import Choice, Question
from agentainer_tui.text import clean
from agentainer_tui.views import RunRow, RunView
from engine.events import RunStatus, StepStatus

_SHOWN = 6


def cancel_question(run: RunRow, view: RunView | None) -> Question[bool]:
    """The dialog; its first answer is not to. The answer says whether to skip the grace."""
    title = f"Cancel {clean(run.workflow, limit=40)} {run.id[:6]}?"
    if run.status is RunStatus.CANCELLING:
        return Question(
            title,
            ["It is being cancelled: its tasks were asked to stop and have their grace. Kill them now?"],
            [Choice("Let them stop", None), Choice("Kill now", True, danger=True)],
        )
    running = (
        [
            step.name
            for step in view.steps.values()
            if step.status in (StepStatus.RUNNING, StepStatus.RETRYING)
        ]
        if view is not None
        else []
    )
    names = [Content.assemble(("  ● ", "$primary"), clean(name, limit=60)) for name in running[:_SHOWN]]
    if len(running) > _SHOWN:
        names.append(Content(f"    and {len(running) - _SHOWN} more"))
    return Question(
        title,
        [
            *names,
            *([""] if names else []),
            "Nothing new starts. Running tasks are asked to stop, then killed after their grace. "
            "What is done stays done: a retry can go on from there.",
        ],
        [Choice("Keep running", None), Choice("Cancel the run", False, danger=True)],
    )
