"""Workflows on one side, the runs of the selected one on the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from agentainer_tui.client import WorkflowEntry
from agentainer_tui.details import problems_lines
from agentainer_tui.feed import Changes, Feed
from agentainer_tui.keymap import bindings
from agentainer_tui.text import clean, counted, plain
from agentainer_tui.views import RunRow
from agentainer_tui.widgets.header import StatusHeader
from agentainer_tui.widgets.row_list import RowList
from agentainer_tui.widgets.run_list import RunList
from agentainer_tui.widgets.workflow_list import WorkflowList

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp

_NO_WORKFLOWS = (
    "No workflows here yet.",
    "Put a YAML file into this directory: it appears as soon as it is saved.",
    "`agentainer demo` opens the samples; `agentainer schema` helps your editor.",
)
_INKS = {"error": "$error", "warning": "$warning", "muted": "$foreground 62%"}


class HomeScreen(Screen[None]):
    """The first screen."""

    CSS_PATH = "home.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("home")]
    SCOPES = ("home", "list", "app")
    AUTO_FOCUS = "#workflows"
    app: DashboardApp

    def __init__(self, feed: Feed, directory: Path, *, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._feed = feed
        self._directory = directory
        self._now = now
        self._offered: tuple[bool | None, ...] = ()

    def compose(self) -> ComposeResult:
        """Header, two panes, footer."""
        yield StatusHeader(self._directory)
        with Horizontal(id="panes"):
            yield WorkflowList(id="workflows", now=self._now)
            with Vertical(id="right"):
                yield Static(id="about")
                yield RunList(id="runs", now=self._now)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Titles, and what is known so far."""
        self.workflows.border_title = "Workflows"
        self.runs.border_title = "Runs"
        self.workflows.empty = ("Looking for workflows…",)
        self.app.changes.subscribe(self, self.take)
        self.app.ticks.subscribe(self, self._tick)
        self.show()

    @property
    def workflows(self) -> WorkflowList:
        """The list of workflows."""
        return self.query_one("#workflows", WorkflowList)

    @property
    def runs(self) -> RunList:
        """The list of runs."""
        return self.query_one("#runs", RunList)

    # -- what is shown --------------------------------------------------------------------------------

    def on_screen_resume(self) -> None:
        """Nothing was drawn while another screen was on top."""
        if self.is_mounted:
            self.show()

    def take(self, changes: Changes) -> None:
        """Show what changed, if this is the screen that is seen."""
        if self.is_current and (changes.rows or changes.workflows):
            self.show()

    def show(self) -> None:
        """Show everything as it is now."""
        header = self.query_one(StatusHeader)
        header.facts = self.app.facts
        header.active = len(self._feed.active())
        if self.app.facts is not None:
            self.workflows.empty = _NO_WORKFLOWS
        self.workflows.show(self._feed.workflows, self._feed.last_runs())
        self._show_runs()
        self._show_about()
        self._offer()

    def _offer(self) -> None:
        """Refresh the bindings if they changed: the footer is built anew by it."""
        entry, run = self.workflows.entry, self._selected_run()
        over = None if run is None else run.status.is_terminal
        gates = run is not None and bool(self._feed.gates(run.id))
        offered = (entry is not None and entry.runnable, over, gates)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def _tick(self, _: float) -> None:
        if self.is_current:
            self.runs.tick()
            self.workflows.refresh()

    def _show_runs(self) -> None:
        entry = self.workflows.entry
        rows = self._feed.runs_of(entry.name if entry is not None else None)
        self.runs.empty = self._no_runs(entry)
        self.runs.border_subtitle = counted(len(rows), "run") if rows else ""
        self.runs.show(rows, entry.name if entry is not None else None)

    def _no_runs(self, entry: WorkflowEntry | None) -> tuple[str, ...]:
        if self.app.facts is None:
            return ()
        if entry is None:
            return ("No runs yet.", "Select a workflow and press r to run it.")
        if not entry.runnable:
            return ("This file cannot be run.", "Correct it and save: it is read again at once.")
        return ("No runs yet.", "Press r to run this workflow.")

    def _show_about(self) -> None:
        about = self.query_one("#about", Static)
        entry = self.workflows.entry
        about.display = bool(self._feed.workflows)
        if entry is None:
            about.border_title = "All workflows"
            about.update(self._about_all())
        else:
            about.border_title = Content(clean(entry.name, limit=60))
            about.update(self._about(entry))

    def _about_all(self) -> Content:
        entries = self._feed.workflows
        bad = sum(1 for entry in entries if any(p.severity == "error" for p in entry.problems))
        words = counted(len(entries), "workflow") + " in this directory"
        return Content.assemble(words, (f", {bad} with errors" if bad else "", "$error"))

    def _about(self, entry: WorkflowEntry) -> Content:
        facts = [Path(entry.path).name]
        if entry.runnable:
            facts.append(counted(len(entry.steps), "step"))
            if entry.params:
                facts.append(counted(len(entry.params), "param"))
        parts = [plain(entry.description)] if entry.description else []
        parts.append(Content.styled(clean("  ".join(facts)), "$foreground 62%"))
        parts += [
            Content.assemble(*((text, _INKS.get(ink, "")) for text, ink in pieces))
            for pieces in problems_lines(entry.problems)
        ]
        if entry.runnable and any(problem.severity == "error" for problem in entry.problems):
            parts.append(Content.styled("The last good version is kept and is what runs.", "$warning"))
        return Content("\n").join(parts)

    # -- actions --------------------------------------------------------------------------------------

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
        last = self._feed.last_runs().get(entry.name) if entry is not None else None
        if last is not None:
            self.app.open_run(last.id)
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
        return self._feed.last_runs().get(entry.name) if entry is not None else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense for what is selected."""
        if not self.is_mounted:
            return True
        run = self._selected_run()
        if action == "run_workflow":
            entry = self.workflows.entry
            return True if entry is not None and entry.runnable else None
        if action == "retry":
            return run is not None and run.status.is_terminal
        if action == "cancel":
            return run is not None and not run.status.is_terminal
        if action == "pools":
            return self.app.facts is not None
        if action == "answer":
            return run is not None and bool(self._feed.gates(run.id))
        return True

    def action_run_workflow(self) -> None:
        """Run the selected workflow."""
        entry = self.workflows.entry
        if entry is not None:
            self.app.ask_params(entry)

    def action_retry(self) -> None:
        """Retry the selected run."""
        if (run := self._selected_run()) is not None:
            self.app.ask_retry(run.id)

    def action_cancel(self) -> None:
        """Cancel the selected run."""
        if (run := self._selected_run()) is not None:
            self.app.ask_cancel(run.id)

    def action_answer(self) -> None:
        """Answer a step of the selected run that waits for a person."""
        if (run := self._selected_run()) is not None:
            self.app.ask_answer(run.id)

    def action_clean(self) -> None:
        """Clean up after the selected run, or after all of the selected workflow's."""
        run = self.runs.run if self.runs.has_focus else None
        self.app.ask_cleanup(run.id if run is not None else None)

    def action_pools(self) -> None:
        """Show the warm pools."""
        self.app.show_pools()

    def action_pane(self, name: str) -> None:
        """Go to a pane."""
        self.query_one(f"#{name}").focus()

    def on_descendant_focus(self) -> None:
        """Which run the keys act on depends on the focused pane."""
        self._offer()
