"""Removing agents that were kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentainer_tui.text import counted

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


async def clean_up(app: DashboardApp, run_id: str | None) -> None:
    """List the kept agents of a run (or of all), and remove those that were listed."""
    from agentainer_tui.screens.cleanup import CleanupDialog

    agents = await app.client.kept_agents(run_id)
    if not agents:
        where = "of this run " if run_id is not None else ""
        app.tell(f"No agents {where}are kept: there is nothing to clean up.")
        return
    names = await app.push_screen_wait(CleanupDialog(agents))
    if names:
        gone = await app.client.cleanup(names)
        app.tell(f"{counted(len(gone), 'agent')} removed.")
