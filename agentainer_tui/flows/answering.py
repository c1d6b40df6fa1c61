"""Answering a step that waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


async def answer(app: DashboardApp, run_id: str, step_id: str | None = None) -> None:
    """Ask what to say to a step that waits: that one, else the one that waits longest."""
    from agentainer_tui.screens.answer import AnswerDialog

    gates = app.feed.gates(run_id)
    gates.sort(key=lambda gate: (gate[1].id != step_id, gate[1].started_at or 0.0))
    if not gates:
        app.tell("No step of this run waits for an answer.")
        return
    view, step = gates[0]
    said = await app.push_screen_wait(AnswerDialog(view, step))
    if said is not None:
        await app.client.answer_gate(view.id, step.id, approved=said.approved, comment=said.comment)
        app.echo(app.twins.answer(view.id, step.id, approved=said.approved, comment=said.comment))
