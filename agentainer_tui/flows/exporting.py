"""Writing a run into a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentainer_tui.text import counted, homely, size

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


async def export(app: DashboardApp, run_id: str) -> None:
    """Write a run into a file in the directory that the dashboard was started in, and say where it is."""
    done = await app.client.export_run(run_id, Path.cwd())
    app.echo(app.twins.export(run_id))
    words = f"{homely(done.path)}\n{counted(done.events, 'event')}, {size(done.size)}"
    left_out = f", {len(done.manifest.left_out)} files left out" if done.manifest.left_out else ""
    app.tell(f"{words}{left_out}. `agentainer open` shows it on any machine.", title="Run exported")
