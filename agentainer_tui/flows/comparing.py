"""Putting two runs side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentainer_tui.comparison.choosing import LOOKED_AT, counterpart
from agentainer_tui.comparison.runs import Comparison, compare
from agentainer_tui.edit_words import diff_lines
from agentainer_tui.views import RunView
from engine.errors import AgentainerError

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


async def show_comparison(app: DashboardApp, marked: Sequence[str], selected: str | None) -> None:
    """Compare two marked runs, the marked and the selected one, or the selected one with one before it."""
    from agentainer_tui.screens.compare import CompareScreen

    chosen = list(dict.fromkeys((*marked, *([selected] if len(marked) < 2 and selected else []))))[:2]
    if not chosen:
        app.tell("There is no run here to compare.")
        return
    views = [await app.view_of(run_id) for run_id in chosen]
    if len(views) == 1:
        earlier = await app.client.runs(
            limit=LOOKED_AT, before=views[0].created_seq, workflow=views[0].workflow
        )
        other = counterpart(views[0].status, earlier)
        if other is None:
            app.tell("There is no earlier run of this workflow. Mark two runs with space, then press =.")
            return
        views.append(await app.view_of(other.id))
    # By time: runs of several recordings are numbered as they were opened.
    before, after = sorted(views, key=lambda view: (view.created_at or 0.0, view.created_seq))
    app.echo(app.twins.diff(before.id, after.id))
    app.push_screen(CompareScreen(app.feed, await compared(app, before, after), now=app.now))


async def compared(app: DashboardApp, before: RunView, after: RunView) -> Comparison:
    """The comparison of two runs, with what their documents say."""
    documents, plan = None, list[str]()
    if before.digest != after.digest:
        try:
            documents = (await app.client.document(before.digest), await app.client.document(after.digest))
            changes = await app.client.plan_changes(before.id, after.id)
            plan = list(diff_lines(changes)) if changes is not None else []
        except AgentainerError:
            documents = None  # the rest can be compared without them
    now = app.now()
    return await asyncio.to_thread(compare, before, after, documents=documents, plan=tuple(plan), now=now)
