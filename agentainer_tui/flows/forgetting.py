"""Deleting runs from the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentainer_tui.history_rows import HistoryRow
from agentainer_tui.text import counted
from engine.errors import AgentainerError

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


async def forget_runs(app: DashboardApp, rows: Sequence[HistoryRow]) -> list[str]:
    """List these runs, and delete those that were listed; returns the ids of those that are gone.

    What cannot go is said and left out: runs in progress, and parts of other runs.
    """
    from agentainer_tui.screens.forget import ForgetDialog

    over = [row for row in rows if row.run.status.is_terminal and not row.run.parent_run]
    if not over:
        app.tell("Only runs that are over can be deleted, and parts of a run only with that run.")
        return []
    sizes = await app.client.disk_use([row.id for row in over])
    chosen = await app.push_screen_wait(ForgetDialog(over, sizes, left_out=len(rows) - len(over)))
    gone: list[str] = []
    problems: list[str] = []
    for run_id in chosen or ():
        try:
            await app.client.delete_runs([run_id])
            gone.append(run_id)
        except AgentainerError as error:
            problems.append(str(error))
    app.feed.forget(gone)
    if problems:
        app.tell("\n".join(problems[:6]), severity="error", title=f"{counted(len(problems), 'run')} stayed")
    if gone:
        app.tell(f"{counted(len(gone), 'run')} deleted.")
    return gone
