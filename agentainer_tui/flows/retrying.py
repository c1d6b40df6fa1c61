"""Doing a run again, as far as a person chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentainer_tui.client import RetryScope

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


async def retry(app: DashboardApp, run_id: str, step_id: str | None = None) -> None:
    """Ask how much of a run to do again (`step_id`: the step that is meant), do it, and show the new run."""
    from agentainer_tui.screens.retry import RetryDialog

    view = await app.view_of(run_id)
    scope: RetryScope | None = await app.push_screen_wait(RetryDialog(view, step_id))
    if scope is not None:
        app.open_run(await app.client.retry(run_id, scope))
        app.echo(app.twins.retry(run_id, scope))
