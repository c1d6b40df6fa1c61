"""Workflows on one side, the runs of the selected one on the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from agentainer_tui.about import ABOUT_INKS, about_workflow
from agentainer_tui.areas import WORKFLOWS
from agentainer_tui.client import WorkflowEntry
from agentainer_tui.feed import Feed
from agentainer_tui.flows.answering import answer
from agentainer_tui.flows.cleaning import clean_up
from agentainer_tui.flows.comparing import show_comparison
from agentainer_tui.flows.editing import edit_workflow, new_workflow
from agentainer_tui.flows.retrying import retry
from agentainer_tui.flows.starting import start
from agentainer_tui.flows.stopping import cancel
from agentainer_tui.keymap import bindings
from agentainer_tui.looks import LOOKS, UNKNOWN
from agentainer_tui.screens.area import AreaScreen
from agentainer_tui.text import clean, counted, homely
from agentainer_tui.twins import run_twin
from agentainer_tui.views import RunRow
from agentainer_tui.widgets.breadcrumbs import Crumb
from agentainer_tui.widgets.list_filter import ListFilter
from agentainer_tui.widgets.row_list import RowList
from agentainer_tui.widgets.run_list import RunList
from agentainer_tui.widgets.workflow_list import WorkflowList

_NO_WORKFLOWS = (
    "No workflows here yet.",
    "N writes one from a template.",
    "Or put a YAML file into this directory:",
    "it appears as soon as it is saved.",
    "`agentainer demo` opens the samples.",
)
_RECORDING = ("A recording has runs, but no workflows.", "2 is the run, 3 all runs that are in it.")


class HomeScreen(AreaScreen):
    """The first screen."""

    CSS_PATH = "home.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("home")]
    AUTO_FOCUS = "#workflows"
    AREA: ClassVar[str] = WORKFLOWS

    def __init__(self, feed: Feed, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(feed, now=now)
        self._offered: tuple[bool | None, ...] = ()
        self._awaited = ""

    def compose_body(self) -> Iterable[Widget]:
        """Workflows on the left, about the selected one and its runs on the right."""
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                yield WorkflowList(id="workflows", now=self.now)
                yield ListFilter("workflows")
            with Vertical(id="right"):
                yield Static(id="about")
                yield RunList(id="runs", now=self.now)
                yield ListFilter("runs")

    def on_mount(self) -> None:
        """Titles."""
        self.workflows.border_title = "Workflows"
        self.runs.border_title = "Runs"
        self.workflows.empty = ("Looking for workflows…",)

    def crumbs(self) -> Sequence[Crumb]:
        """The directory."""
        return (Crumb(homely(self.app.directory)),)

    @property
    def workflows(self) -> WorkflowList:
        """The list of workflows."""
        return self.query_one("#workflows", WorkflowList)

    @property
    def runs(self) -> RunList:
        """The list of runs."""
        return self.query_one("#runs", RunList)

    # -- what is shown --------------------------------------------------------------------------------

    def show(self) -> None:
        """Show everything as it is now."""
        self.show_header()
        if self.app.facts is not None:
            self.workflows.empty = _RECORDING if self.app.is_recording else _NO_WORKFLOWS
        self._show_workflows()
        self._show_runs()
        self._show_about()
        self._offer()

    def _offer(self) -> None:
        """Refresh the bindings if they changed: the footer is built anew by it."""
        entry, run = self.workflows.entry, self._selected_run()
        over = None if run is None else run.status.is_terminal
        gates = run is not None and bool(self.feed.gates(run.id))
        offered = (entry is not None and entry.runnable, over, gates)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def tick(self) -> None:
        """Ages and durations grow."""
        self.runs.tick()
        self.workflows.refresh()

    def _show_workflows(self) -> None:
        kept = self.query_one("#filter-workflows", ListFilter).keep(self.feed.workflows, _workflow_text)
        self.workflows.show(kept, self.feed.recent_runs())
        if self._awaited and self._awaited in self.workflows.keys:
            self.workflows.select(self._awaited)
            self._awaited = ""

    def select_when_there(self, path: str) -> None:
        """Put the cursor on a workflow as soon as its file was read."""
        self._awaited = path
        self._show_workflows()

    def _show_runs(self) -> None:
        entry = self.workflows.entry
        known = self.feed.runs_of(entry.name if entry is not None else None)
        rows = self.query_one("#filter-runs", ListFilter).keep(known, _run_text)
        self.runs.empty = self._no_runs(entry)
        self.runs.border_subtitle = counted(len(rows), "run") if rows else ""
        self.runs.show(rows, entry.name if entry is not None else None)

    def _no_runs(self, entry: WorkflowEntry | None) -> tuple[str, ...]:
        if self.app.facts is None:
            return ()
        if entry is None:
            run = self.app.key_of("home.run")
            return ("No runs yet.", f"Select a workflow and press {run} to run it.")
        if not entry.runnable:
            return ("This file cannot be run.", "Correct it and save: it is read again at once.")
        return ("No runs yet.", f"Press {self.app.key_of('home.run')} to run this workflow.")

    def _show_about(self) -> None:
        about = self.query_one("#about", Static)
        entry = self.workflows.entry
        about.display = bool(self.feed.workflows)
        if entry is None:
            about.border_title = "All workflows"
            about.update(self._about_all())
        else:
            about.border_title = Content(clean(entry.name, limit=60))
            about.update(self._about(entry))

    def _about_all(self) -> Content:
        entries = self.feed.workflows
        bad = sum(1 for entry in entries if any(p.severity == "error" for p in entry.problems))
        words = counted(len(entries), "workflow") + " in this directory"
        return Content.assemble(words, (f", {bad} with errors" if bad else "", "$error"))

    def _about(self, entry: WorkflowEntry) -> Content:
        room = max(20, self.query_one("#about").content_size.width)
        lines = about_workflow(entry, self._last_run(), room, self.app.glyphs)
        return Content("\n").join(
            Content.assemble(*((text, ABOUT_INKS.get(ink, "")) for text, ink in pieces)) for pieces in lines
        )

    # -- actions --------------------------------------------------------------------------------------

    @on(ListFilter.Changed, "#filter-workflows")
    def _filter_workflows(self) -> None:
        self._show_workflows()

    @on(ListFilter.Changed, "#filter-runs")
    def _filter_runs(self) -> None:
        self._show_runs()

    @on(RowList.Moved, "#workflows")
    def _other_workflow(self) -> None:
        self._show_runs()
        self._show_about()
        self._load_more(first=True)
        self._offer()

    @on(RowList.Moved, "#runs")
    def _other_run(self) -> None:
        self._offer()

    @on(RunList.NearEnd)
    def _more_runs(self) -> None:
        self._load_more()

    def _load_more(self, *, first: bool = False) -> None:
        entry = self.workflows.entry
        self.app.load_runs(entry.name if entry is not None else None, first=first)

    @on(RowList.Chosen, "#workflows")
    def _open_workflow(self) -> None:
        entry = self.workflows.entry
        last = self.feed.last_runs().get(entry.name) if entry is not None else None
        if last is not None:
            self.app.open_run(last.id)
        elif entry is not None and not entry.runnable:
            self.app.tell("This file cannot be run yet: e edits it where the error is.")
        elif entry is not None:
            self.action_run_workflow()
        else:
            self.runs.focus()

    @on(RowList.Chosen, "#runs")
    def _open_run(self, message: RowList.Chosen) -> None:
        self.app.open_run(str(message.key))

    def _selected_run(self) -> RunRow | None:
        """The run that keys act on: under the cursor of the runs, when they have the focus."""
        return self.runs.run if self.runs.has_focus or self.app.focused is None else self._last_run()

    def _last_run(self) -> RunRow | None:
        entry = self.workflows.entry
        return self.feed.last_runs().get(entry.name) if entry is not None else None

    def in_sight(self) -> tuple[str, str]:
        """The selected run."""
        run = self._selected_run()
        return run.id if run is not None else "", ""

    def twin(self, action: str) -> str:
        """The command line of an action on what is selected."""
        twins, run, entry = self.app.twins, self._selected_run(), self.workflows.entry
        if action == "run_workflow" and entry is not None:
            return twins.run(entry.path)
        if action == "pools":
            return twins.agents(pools=True)
        if action == "clean":
            kept = self.runs.run if self.runs.has_focus else None
            return twins.cleanup(kept.id if kept is not None else None)
        return run_twin(twins, action, run.id) if run is not None else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense for what is selected."""
        if not self.is_mounted:
            return True
        run = self._selected_run()
        if action == "run_workflow":
            entry = self.workflows.entry
            return True if entry is not None and entry.runnable else None
        if action == "edit":
            return True if self.workflows.entry is not None else None
        if action == "retry":
            return run is not None and run.status.is_terminal
        if action == "cancel":
            return run is not None and not run.status.is_terminal
        if action == "mark":
            return self.runs.has_focus
        if action == "compare":
            return run is not None
        if action == "answer":
            return run is not None and bool(self.feed.gates(run.id))
        return True

    def action_run_workflow(self) -> None:
        """Run the selected workflow."""
        entry = self.workflows.entry
        if entry is not None:
            self.app.command(start(self.app, entry))

    def action_retry(self) -> None:
        """Retry the selected run."""
        if (run := self._selected_run()) is not None:
            self.app.command(retry(self.app, run.id))

    def action_edit(self) -> None:
        """Edit the file of the selected workflow."""
        entry = self.workflows.entry
        if entry is not None:
            self.app.command(edit_workflow(self.app, entry))

    def action_new(self) -> None:
        """Write a new workflow from a template."""
        self.app.command(new_workflow(self.app))

    def action_cancel(self) -> None:
        """Cancel the selected run."""
        if (run := self._selected_run()) is not None:
            self.app.command(cancel(self.app, run.id))

    def action_answer(self) -> None:
        """Answer a step of the selected run that waits for a person."""
        if (run := self._selected_run()) is not None:
            self.app.command(answer(self.app, run.id))

    def action_clean(self) -> None:
        """Clean up after the selected run, or after all of the selected workflow's."""
        run = self.runs.run if self.runs.has_focus else None
        self.app.command(clean_up(self.app, run.id if run is not None else None))

    def action_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away."""
        self.runs.toggle_mark()

    def action_compare(self) -> None:
        """Compare the marked runs, or the selected one with one before it."""
        run = self._selected_run()
        marked = self.runs.marked
        self.app.command(show_comparison(self.app, marked, run.id if run is not None else None))

    def on_descendant_focus(self) -> None:
        """Which run the keys act on depends on the focused pane."""
        self._offer()


def _workflow_text(entry: WorkflowEntry) -> str:
    return f"{entry.name} {Path(entry.path).name} {entry.description}"


def _run_text(run: RunRow) -> str:
    return f"{LOOKS.get(run.status, UNKNOWN).word} {run.workflow} {run.id} {run.error}"
