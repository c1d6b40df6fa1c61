"""Removing agents: those that were kept, and those that belong to nothing any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentainer_tui.agent_rows import KEPT, ORPHANS, AgentRow, kept_rows
from agentainer_tui.text import counted, size

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


async def clean_up(app: DashboardApp, run_id: str | None) -> None:
    """List the kept agents of a run (or of all), and remove those that were listed."""
    rows = kept_rows(await app.client.kept_agents(run_id))
    if not rows:
        where = "of this run " if run_id is not None else ""
        app.tell(f"No agents {where}are kept: there is nothing to clean up.")
        return
    await remove(app, rows, app.twins.cleanup(run_id))


async def remove(app: DashboardApp, rows: Sequence[AgentRow], twin: str = "") -> bool:
    """List agents, and remove exactly those if a person says so; returns whether any was asked to go.

    `twin` is the command line that does the same, if it is not one that names them.
    """
    from agentainer_tui.screens.cleanup import CleanupDialog

    if not await app.push_screen_wait(CleanupDialog(rows)):
        return False
    gone: list[str] = []
    if kept := [row.name for row in rows if row.section == KEPT]:
        gone += await app.client.cleanup(kept)
    if lost := [row.name for row in rows if row.section == ORPHANS]:
        gone += await app.client.remove_orphans(lost)
    if kept:
        app.echo(twin or app.twins.cleanup(agents=kept))
    freed = sum(row.size or 0 for row in rows if row.name in gone)
    disk = f", {size(freed)} of disk is free again" if freed else ""
    app.tell(f"{counted(len(gone), 'agent')} removed{disk}.")
    if len(gone) < len(rows):
        app.tell(f"{counted(len(rows) - len(gone), 'agent')} had gone before.")
    return True
