"""Everything about the selected step or item, in tabs: its log, and what `inspector` makes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import TabbedContent, TabPane, Tabs

from agentainer_tui.client import AttemptKey
from agentainer_tui.explain import explain
from agentainer_tui.inspector.agent import agent_entries
from agentainer_tui.inspector.attempts import attempt_entries
from agentainer_tui.inspector.entries import Entry
from agentainer_tui.inspector.env import env_entries
from agentainer_tui.inspector.events import event_entries
from agentainer_tui.inspector.input import input_entries
from agentainer_tui.inspector.output import output_entries
from agentainer_tui.inspector.reading import Readings
from agentainer_tui.inspector.state import state_entries
from agentainer_tui.text import brief, clean
from agentainer_tui.views import ItemView, RunView, StepView
from agentainer_tui.widgets.log_pane import LogPane
from agentainer_tui.widgets.sheet_pane import SheetPane

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp

TABS = ("log", "output", "input", "state", "env", "agent", "attempts", "events")
# Flat lists, which can be filtered.
_FILTERED = ("env", "events")
MERGES = ("", "step", "run")
# Logs that are shown as one: the newest ones.
_MOST_LOGS = 200
# The cursor must rest this long on a row before anything is read for it: holding a key down reads nothing.
_REST = 0.08


class DetailsPane(Vertical):
    """Shows one selection; asks its screen for logs, and reads itself what else is not in the view."""

    app: DashboardApp

    class Wanted(Message):
        """Other logs are to be shown."""

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(id=id)
        self._now = now
        self._run: RunView | None = None
        self._step: StepView | None = None
        self._item: ItemView | None = None
        self._log_of: tuple[AttemptKey, ...] = ()
        self._log_names: tuple[str, ...] = ()
        self._title = ""
        self.merge = ""  # "", "step" or "run": whose logs are shown as one
        self._readings = Readings()

    def compose(self) -> ComposeResult:
        """The tabs."""
        with TabbedContent(id="tabs"):
            with TabPane("Log", id="log"):
                yield LogPane(id="log-pane")
            for name in TABS[1:]:
                with TabPane(name.capitalize(), id=name):
                    yield SheetPane(id=f"{name}-pane", filters=name in _FILTERED)

    def on_mount(self) -> None:
        """Tabs are changed with [ and ], from wherever the focus is."""
        self.query_one(Tabs).can_focus = False

    # -- selection ------------------------------------------------------------------------------------

    @property
    def attempt(self) -> AttemptKey | None:
        """The attempt whose log is shown: the last one of the selection."""
        node = self._item if self._item is not None else self._step
        if self._run is None or self._step is None or node is None or not node.attempts:
            return None
        item = self._item.index if self._item is not None else None
        last = node.attempts[-1]
        if last.child_run:
            return None
        return AttemptKey(self._run.id, self._step.id, item, last.number, last.log)

    @property
    def selection(self) -> tuple[StepView | None, ItemView | None]:
        """The step (and item) shown."""
        return self._step, self._item

    def show(self, run: RunView, step: StepView | None, item: ItemView | None) -> None:
        """Show a selection, or a newer view of the same one."""
        same = self._step is not None and step is not None and self._step.id == step.id
        same = same and (self._item is None) == (item is None)
        same = same and (item is None or self._item is None or item.index == self._item.index)
        self._run, self._step, self._item = run, step, item
        if not same:
            self._readings = Readings()
            for pane in self.query(SheetPane):
                pane.clear()
        self._show_title()
        self._show_log(changed=not same)
        self._show_tab()

    @property
    def tab(self) -> str:
        """The tab that is shown."""
        return self.query_one("#tabs", TabbedContent).active or "log"

    def turn(self, by: int) -> None:
        """Go to another tab; the focus goes with it if it was in here."""
        self.go(TABS[(TABS.index(self.tab) + by) % len(TABS)])

    def go(self, tab: str) -> None:
        """Go to a tab by its name."""
        had_focus = self.has_focus_within
        self.query_one("#tabs", TabbedContent).active = tab
        if had_focus:
            self.focus_view()

    def focus_view(self) -> None:
        """Put the focus into what is shown."""
        (self.log_pane.view if self.tab == "log" else self.sheet_pane.sheet).focus()

    @property
    def log_pane(self) -> LogPane:
        """The log."""
        return self.query_one("#log-pane", LogPane)

    @property
    def sheet_pane(self) -> SheetPane:
        """What is shown on the tab, if that is not the log."""
        return self.query_one(f"#{self.tab}-pane", SheetPane)

    def fold(self) -> bool:
        """Open or close what the cursor is on; False if the focus is elsewhere."""
        if self.tab == "log" or not self.sheet_pane.sheet.has_focus:
            return False
        self.sheet_pane.sheet.action_choose()
        return True

    @on(TabbedContent.TabActivated)
    def _tab_changed(self) -> None:
        self.set_class(self.tab != "log", "-sheet")
        self._show_status()
        self._show_tab()

    @on(LogPane.Changed)
    @on(SheetPane.Changed)
    def _show_status(self) -> None:
        pane = self.log_pane if self.tab == "log" else self.sheet_pane
        self.border_subtitle = Content(pane.status)

    # -- content --------------------------------------------------------------------------------------

    def _show_title(self) -> None:
        step, item = self._step, self._item
        if step is None:
            self.border_title = self._title = ""
            return
        title = clean(step.name, limit=60)
        if item is not None:
            title += f" · {item.index} {brief(item.value, limit=40)}"
        if self.merge:
            title += f" · logs of the {self.merge}, by time"
        if title != self._title:  # a title that is set draws the whole pane again
            self._title = title
            self.border_title = Content(title)

    def _show_log(self, *, changed: bool) -> None:
        logs = self._logs()
        if tuple(logs.values()) != self._log_of or (changed and not self.merge):
            self._log_of = tuple(logs.values())
            self._log_names = tuple(logs) if self.merge else ()
            self.post_message(self.Wanted())
        elif not logs:
            self.log_pane.view.set_notice(self.log_notice())

    def _logs(self) -> dict[str, AttemptKey]:
        """The logs to show, each with a name."""
        if self.merge and self._run is not None:
            return merged_logs(self._run, self._step if self.merge == "step" else None)
        return {"": self.attempt} if self.attempt is not None else {}

    @property
    def logs(self) -> tuple[tuple[AttemptKey, ...], tuple[str, ...]]:
        """The logs that are shown, and the names of those that are shown as one."""
        return self._log_of, self._log_names

    def next_merge(self) -> None:
        """Whose logs are shown: the selection's, all of its step, all of the run, and again."""
        self.merge = MERGES[(MERGES.index(self.merge) + 1) % len(MERGES)]
        self._show_title()
        self._show_log(changed=True)

    def log_notice(self) -> str:
        """Why there is nothing to show."""
        run, step = self._run, self._step
        if run is None or step is None:
            return ""
        node = self._item if self._item is not None else step
        if self._item is None and step.items:
            return "Each item has a log of its own: space shows the items."
        if node.child_run:
            return f"Its workflow is run {node.child_run}, with logs of its own: enter on the step opens it."
        why = explain(run, step, node, self._now())
        return f"No output yet{': ' + why if why else ''}."

    def tick(self) -> None:
        """Time went on."""
        if self._run is not None and not self._run.status.is_terminal and self.tab in ("output", "attempts"):
            self._show_tab()

    def _show_tab(self) -> None:
        if self._run is None or self._step is None or self.tab == "log":
            return
        if self._readings.wants(self.tab, self._run, self._step, self._item):
            self._read()
        self.sheet_pane.show(self._entries(self._run, self._step, self._item))

    def _entries(self, run: RunView, step: StepView, item: ItemView | None) -> Sequence[Entry]:
        known = self._readings
        glyphs = self.log_pane.view.glyphs
        match self.tab:
            case "output":
                return output_entries(run, step, item, self._now())
            case "input":
                return input_entries(run, step, item, known.state)
            case "state":
                return state_entries(run, step, item, known.change)
            case "env":
                return env_entries(run, step, item)
            case "agent":
                return agent_entries(run, step, item, known.agent, glyphs)
            case "attempts":
                return attempt_entries(step, item, self._now(), glyphs)
            case _:
                events = [event for event in known.events if event.seq <= run.seq]
                return event_entries(events, known.left_out) if known.has_events else ()

    @work(exclusive=True, group="reading", exit_on_error=False)
    async def _read(self) -> None:
        """Read what the tab needs, then show it."""
        await asyncio.sleep(_REST)
        run, step, readings = self._run, self._step, self._readings
        if run is None or step is None:
            return
        await readings.read(self.app.client, self.tab, run, step, self._item)
        if readings is self._readings:
            self._show_tab()


def merged_logs(run: RunView, only: StepView | None) -> dict[str, AttemptKey]:
    """All logs of a run, or of one of its steps, by name; the newest ones if there are very many."""
    found: list[tuple[float, str, AttemptKey]] = []
    for step in run.steps.values():
        if only is not None and step.id != only.id:
            continue
        nodes: list[StepView | ItemView] = [step, *step.items]
        for node in nodes:
            item = node.index if isinstance(node, ItemView) else None
            for attempt in node.attempts:
                if attempt.child_run:
                    continue
                name = step.name + (f"[{item}]" if item is not None else "")
                name += f" try {attempt.number}" if len(node.attempts) > 1 else ""
                key = AttemptKey(run.id, step.id, item, attempt.number, attempt.log)
                found.append((attempt.started_at or 0.0, name, key))
    found.sort(key=lambda each: each[0])
    logs: dict[str, AttemptKey] = {}
    for _, name, key in found[-_MOST_LOGS:]:
        logs[name if name not in logs else f"{name} ({key.step_id})"] = key
    return logs
