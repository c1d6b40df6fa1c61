"""Cancelling a run, and leaving the dashboard while runs are in progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


async def cancel(app: DashboardApp, run_id: str) -> None:
    """Cancel a run, after asking."""
    from agentainer_tui.screens.cancel import cancel_question

    row = app.feed.rows.get(run_id)
    if row is None:
        return
    hurry = await app.push_screen_wait(cancel_question(row, app.feed.views.get(run_id)))
    if hurry is not None:
        await app.client.cancel(run_id, hurry=hurry)
        app.echo(app.twins.cancel(run_id, hurry=hurry))


async def leave(app: DashboardApp) -> None:
    """Ask what becomes of the runs in progress, and leave accordingly."""
    from agentainer_tui.screens.quit import Leave, quit_question

    how = await app.push_screen_wait(quit_question(app.feed.active(), app.glyphs, app.now()))
    app.leave_when_done(leaving=how is not None)
    if how is Leave.WHEN_DONE:
        app.tell("The dashboard closes when the runs in progress are over. q changes that.")
    elif how is Leave.CANCEL:
        for run in app.feed.active():
            app.command(app.client.cancel(run.id, hurry=run.status == "cancelling"))
