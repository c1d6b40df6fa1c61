"""From a failure to what is known of it: found, looked at, compared, reported."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from agentainer_tui import copying
from agentainer_tui.failure.changes import Change, changes_since
from agentainer_tui.failure.finding import Failure, failures_of
from agentainer_tui.failure.report import Case, Place, markdown
from engine.errors import HistoryError, UsageError

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp
    from agentainer_tui.views import RunView

# How deep the failure of a run within a run within a run is followed.
_DEPTH = 10


async def show_newest(app: DashboardApp) -> None:
    """Show the newest failure that nobody has looked at; else that of the run in sight, else the newest."""
    known = app.feed.failures
    found = known.unseen[0] if known.unseen else await _in_sight(app)
    found = found or known.newest or await _newest_of_history(app)
    if found is None:
        app.tell("Nothing has failed.")
    else:
        show(app, found)


def show(app: DashboardApp, failure: Failure) -> None:
    """Show a failure above the run that it is of, whose cursor goes to the step."""
    from agentainer_tui.screens.failure import FailureScreen

    if isinstance(app.screen, FailureScreen):
        app.pop_screen()
    app.feed.failures.see(failure)
    app.clear_notifications()  # what they told is on the screen from here on
    app.open_run(failure.run_id, failure.step_id)
    app.push_screen(FailureScreen(failure, app.feed, now=app.now))


async def _in_sight(app: DashboardApp) -> Failure | None:
    """The failure of the run that is shown or selected: of the selected step, else the latest."""
    from agentainer_tui.screens.area import AreaScreen

    run_id, step_id = app.screen.in_sight() if isinstance(app.screen, AreaScreen) else ("", "")
    found = failures_of(await app.view_of(run_id)) if run_id else []
    here = next((failure for failure in found if failure.step_id == step_id), None)
    return here or (found[0] if found else None)


async def _newest_of_history(app: DashboardApp) -> Failure | None:
    """The failure of the newest failed run, from before the app was opened."""
    for row in app.feed.runs_of(None):
        if row.status in ("failed", "partially_completed"):
            found = failures_of(await app.view_of(row.id))
            if found:
                return found[0]
    return None


async def innermost(app: DashboardApp, failure: Failure) -> tuple[RunView, Failure]:
    """Where it really failed: within the run that the step runs, if it is one that runs a workflow."""
    view = await app.view_of(failure.run_id)
    for _ in range(_DEPTH):
        step = view.steps.get(failure.step_id)
        child = step.child_run if step is not None else ""
        if not child:
            break
        inner = await app.view_of(child)
        found = failures_of(inner)
        if not found:
            break
        view, failure = inner, found[0]
    return view, failure


async def compared(app: DashboardApp, view: RunView, step_id: str) -> tuple[RunView, list[Change]] | None:
    """The last run of the workflow that went well, and what is different since then; None: there is none."""
    row = await app.client.last_completed(view.workflow, view.created_seq)
    if row is None:
        return None
    good = await app.view_of(row.id)
    documents = None
    if good.digest != view.digest:
        try:
            documents = (await app.client.document(good.digest), await app.client.document(view.digest))
        except HistoryError:
            documents = None
    return good, changes_since(good, view, step_id, documents)


def copy_report(app: DashboardApp, case: Case) -> None:
    """Copy a failure as Markdown."""
    app.tell(f"The report is copied {copying.copy(app, _report(app, case))}.")


async def write_report(app: DashboardApp, case: Case) -> None:
    """Write a failure as Markdown into a new file in the directory where the dashboard was started."""
    path = copying.free_path(Path.cwd(), f"failure-{case.run.workflow}-{case.run.id[:6]}", ".md")
    text = _report(app, case)
    try:
        await asyncio.to_thread(path.write_text, text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    app.tell(f"The report is in {path}.")


def _report(app: DashboardApp, case: Case) -> str:
    backend = app.facts.backend if app.facts is not None else ""
    return markdown(case, Place(version("agentainer"), backend, app.twins))
