"""Editing workflow files: the terminal goes to the editor, and what was changed decides what comes next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentainer_tui.client import WorkflowEntry
from agentainer_tui.copying import view_file
from agentainer_tui.flows.retrying import retry
from agentainer_tui.text import clean
from engine.errors import UsageError

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


def open_editor(app: DashboardApp, path: str, line: int = 0) -> None:
    """Give the terminal to the editor until it ends; the engine goes on meanwhile.

    Raises:
        UsageError: there is no editor or no such file, or the terminal cannot be given away.
    """
    if not Path(path).is_file():
        raise UsageError(f"{clean(path)} is not there any more", hint="it may have been renamed or removed")
    view_file(app, Path(path), edit=True, line=line)


async def edit_workflow(app: DashboardApp, entry: WorkflowEntry) -> None:
    """Edit a workflow's file, at its first error if it has one; it is read again when it is saved."""
    first = next((problem.line for problem in entry.problems if problem.severity == "error"), 0)
    open_editor(app, entry.path, first)


async def edit_run(app: DashboardApp, run_id: str, step_id: str | None = None) -> None:
    """Edit the file of a run at a step; when it was changed, show what a retry by it would do."""
    file = await app.client.run_file(run_id)
    line = await app.client.step_line(file.path, step_id or "")
    open_editor(app, file.path, line)
    view = await app.view_of(run_id)
    after = await app.client.run_file(run_id)
    name = clean(Path(file.path).name, limit=60)
    if after.digest == view.digest:
        app.tell(f"{name} is as it was when this run began.")
    elif not view.status.is_terminal:
        app.tell(f"{name} was changed. R runs it again from here when this run is over.")
    else:
        await retry(app, run_id, step_id, edited=True)


async def new_workflow(app: DashboardApp) -> None:
    """Write a new workflow from a template, and edit it if that is wanted."""
    from agentainer_tui.screens.home import HomeScreen
    from agentainer_tui.screens.new_workflow import NewWorkflow

    made = await app.push_screen_wait(NewWorkflow(app.client.create_workflow))
    if made is None:
        return
    app.tell(f"{clean(Path(made.path).name, limit=80)} was written.")
    app.echo(app.twins.new(made.name, made.template))
    if isinstance(app.screen, HomeScreen):
        app.screen.select_when_there(made.path)
    if made.edit:
        open_editor(app, made.path)
