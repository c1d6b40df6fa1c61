"""Running a workflow, after asking for its params."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentainer_tui.client import WorkflowEntry

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


async def start(app: DashboardApp, entry: WorkflowEntry) -> None:
    """Run a workflow, with the params of its last run proposed if it has any; show the run."""
    if not entry.params:
        app.open_run(await app.client.run(entry.path, {}))
        app.echo(app.twins.run(entry.path))
        return
    from agentainer_tui.screens.params_form import ParamsForm

    last = app.feed.last_runs().get(entry.name)

    async def submit(params: Mapping[str, Any]) -> str:
        run_id = await app.client.run(entry.path, params)
        app.echo(app.twins.run(entry.path, params))
        return run_id

    run_id = await app.push_screen_wait(ParamsForm(entry, last.params if last else {}, submit))
    if run_id is not None:
        app.open_run(run_id)
