"""Doing a run again, as far as a person chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentainer_tui.client import RetryScope

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


async def retry(app: DashboardApp, run_id: str, step_id: str | None = None, *, edited: bool = False) -> None:
    """Ask how much of a run to do again, do it, and show the new run.

    `step_id` is the step that is meant; `edited`, that its file was edited, and is what it should run by.
    """
    from agentainer_tui.screens.retry import RetryDialog

    view = await app.view_of(run_id)

    async def submit(scope: RetryScope, digest: str, params: Mapping[str, Any]) -> str:
        new = await app.client.retry(run_id, scope, digest=digest, params=params)
        app.echo(app.twins.retry(run_id, scope, params))
        return new

    again = await app.push_screen_wait(RetryDialog(view, submit, step_id, edited=edited))
    if again is not None:
        app.open_run(again)
