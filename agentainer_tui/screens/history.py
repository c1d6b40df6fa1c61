"""All runs of the home: narrowed down, marked, compared, retried, deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from agentainer_tui.areas import HISTORY
from agentainer_tui.copying import copy
from agentainer_tui.feed import Changes, Feed
from agentainer_tui.flows.comparing import show_comparison
from agentainer_tui.flows.forgetting import forget_runs
from agentainer_tui.flows.profiling import show_profile
from agentainer_tui.flows.retrying import retry
from agentainer_tui.flows.stopping import cancel
from agentainer_tui.history_filter import HistoryFilter
from agentainer_tui.history_pages import HistoryPages
from agentainer_tui.history_rows import HistoryRow, about_lines
from agentainer_tui.keymap import bindings
from agentainer_tui.screens.area import AreaScreen
from agentainer_tui.text import clean, counted, fit
from agentainer_tui.twins import run_twin
from agentainer_tui.widgets.breadcrumbs import Crumb
from agentainer_tui.widgets.choice_bar import ChoiceBar, Choices
from agentainer_tui.widgets.history_list import HistoryList
from agentainer_tui.widgets.list_filter import ListFilter
from agentainer_tui.widgets.row_list import RowList

_INKS = {"text": "", "error": "$error", "muted": "$foreground 62%"}
_CHOICES = ("status", "workflow", "period", "children")
# Height from which there are two more lines about the run under the cursor.
_HIGH = 32


class HistoryScreen(AreaScreen):
    """The list, the choices above it, and a few lines about the run under the cursor below."""

    CSS_PATH = "history.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("history")]
    AUTO_FOCUS = "#history"
    AREA: ClassVar[str] = HISTORY

    def __init__(self, feed: Feed, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(feed, now=now)
        self._chosen = HistoryFilter()
        self._pages = HistoryPages()
        self._total: int | None = None
        self._asked_up_to = 0
        self._reading = False
        self._offered: tuple[object, ...] = ()

    def compose_body(self) -> Iterable[Widget]:
        """Choices, list, filter line, about."""
        yield ChoiceBar(_CHOICES, id="choices")
        yield HistoryList(id="history", now=self.now)
        yield ListFilter("history", can_regex=False)
        yield Static(id="about")

    def crumbs(self) -> Sequence[Crumb]:
        """Here."""
        return (Crumb("History of this home"),)

    @property
    def history(self) -> HistoryList:
        """The list of runs."""
        return self.query_one("#history", HistoryList)

    # -- what is shown --------------------------------------------------------------------------------

    def concerns(self, changes: Changes) -> bool:
        """New runs, ends of runs and progress are shown; workflows are not."""
        return changes.rows

    def show(self) -> None:
        """Show what is known, and read what is new."""
        self.show_header()
        ended = self._show_progress()
        newest = max((row.seq for row in self.feed.rows.values()), default=0)
        if not self._pages.is_read and self._reading:
            return  # who reads shows what there is then
        if not self._pages.is_read:
            self._pages.wish_other()
        elif ended or newest > self._asked_up_to:
            self._pages.wish_newest()
        self._asked_up_to = newest
        self._read()

    def _show_progress(self) -> bool:
        """Take what the events say about runs in progress; returns whether any has ended."""
        live = [row for row in self._pages.rows if not row.run.status.is_terminal]
        now = [self._current(row) for row in live]
        ended = [row for row in now if row.run.status.is_terminal]
        self._pages.replace(ended)
        self.history.update_rows(now)
        self._show_about()
        return bool(ended)

    def _show_rows(self) -> None:
        self.history.show([self._current(row) for row in self._pages.rows])
        self._show_choices()
        self._show_about()

    def _current(self, row: HistoryRow) -> HistoryRow:
        """A row with what the events have said since it was read."""
        known = self.feed.rows.get(row.id)
        if known is None or (row.run.status.is_terminal and known.status.is_terminal):
            return row
        gates = len(self.feed.gates(row.id)) if not known.status.is_terminal else 0
        return row.moved(replace(known, gates=gates))

    def _show_choices(self) -> None:
        chosen = self._chosen
        self.query_one(ChoiceBar).show(
            [
                Choices("status", chosen.status, "status", chosen.status != "any"),
                Choices("workflow", chosen.workflow or "all", "workflow", bool(chosen.workflow)),
                Choices("period", chosen.period, "period", chosen.period != "all"),
                Choices("parts", "shown" if chosen.children else "hidden", "children", chosen.children),
            ],
            self._told(),
        )
        self.history.empty = self._nothing()
        self.query_one(ListFilter).count(len(self._pages.rows), self._total or len(self._pages.rows))
        marked = len(self.history.marked)
        self.history.border_subtitle = f"{marked} marked" if marked else ""

    def _told(self) -> str:
        """How many runs are shown, of how many."""
        pages = self._pages
        if not pages.is_read:
            return "reading…"
        found = f"{len(pages.rows):,}{'' if pages.is_complete else '+'}"
        if self._reading and pages.looked_at:
            return f"{found} found, looking back to {pages.looked_at[:10]}…"
        if self._chosen.is_narrow or self._total is None or self._chosen.children:
            return f"{found} found" if self._chosen.is_narrow else counted(len(pages.rows), "run")
        return counted(self._total, "run") if self._total < 1000 else f"{self._total:,} runs"

    def _nothing(self) -> tuple[str, ...]:
        if not self._pages.is_read or self._reading:
            return ("Reading…",)
        if self._chosen.is_narrow:
            return ("No run fits.", "esc shows all runs again.")
        area, run = self.app.key_of("app.workflows"), self.app.key_of("home.run")
        return ("No runs yet.", f"Press {area}, select a workflow, and press {run} to run it.")

    def _show_about(self) -> None:
        about = self.query_one("#about", Static)
        row = self.history.row
        if row is None:
            about.border_title = ""
            about.update("")
            return
        most = 4 if self.size.height >= _HIGH else 2
        lines = about_lines(row, self.now(), self.app.glyphs)
        about.border_title = Content(clean(lines[0][0], limit=60))
        room = max(10, self.size.width - 6)
        parts = [
            Content.styled(fit(text if not place else f"{label}: {text}", room).rstrip(), _INKS[ink])
            for place, (label, text, ink) in enumerate(lines[:most])
        ]
        about.update(Content("\n").join(parts))

    def tick(self) -> None:
        """Ages and durations grow."""
        self.history.tick()

    def on_resize(self) -> None:
        """Words are cut to the width."""
        self.query_one("#about").set_class(self.size.height >= _HIGH, "-high")
        self._show_choices()
        self._show_about()

    # -- reading --------------------------------------------------------------------------------------

    def choose(self, chosen: HistoryFilter) -> None:
        """Show other runs: the old ones stay until the first new ones are there."""
        if chosen == self._chosen:
            return
        self._chosen = chosen
        self._pages.wish_other()
        if self.is_mounted:  # else it is shown and read as soon as it is
            self._show_choices()
            self._read()
            self.refresh_bindings()

    @work(group="history", exit_on_error=False)
    async def _read(self) -> None:
        """Read until nothing more is wished for; one reader at a time is enough."""
        if self._reading or self.app.facts is None:
            return
        self._reading = True
        try:
            while (question := self._pages.next_question()) is not None:
                wanted = self._chosen.wanted(datetime.fromtimestamp(self.now(), UTC))
                page = await self.app.client.list_runs(wanted, limit=question.limit, before=question.before)
                if question.counts:
                    self._total = await self.app.client.count_runs()
                if self._pages.take(question, page):
                    self._show_rows()
                    if question.begins:
                        self.history.to_top()
        finally:
            self._reading = False
        self._show_choices()

    @on(HistoryList.NearEnd)
    def _more(self) -> None:
        if self._pages.wish_more():
            self._read()

    @on(ListFilter.Changed)
    def _text_changed(self, message: ListFilter.Changed) -> None:
        self.choose(replace(self._chosen, text=message.list_filter.text))

    # -- actions --------------------------------------------------------------------------------------

    @on(RowList.Moved, "#history")
    def _other_run(self) -> None:
        self._show_about()
        self._offer()

    @on(RowList.Chosen, "#history")
    def _open(self, message: RowList.Chosen) -> None:
        self.app.open_run(str(message.key))

    def _offer(self) -> None:
        """Refresh the bindings if they changed: the footer is built anew by it."""
        row = self.history.row
        over = None if row is None else row.run.status.is_terminal
        offered = (over, bool(self.history.marked))
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def in_sight(self) -> tuple[str, str]:
        """The selected run."""
        row = self.history.row
        return row.run.id if row is not None else "", ""

    def twin(self, action: str) -> str:
        """The command line of an action on the selected run."""
        row = self.history.row
        return run_twin(self.app.twins, action, row.run.id) if row is not None else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense for the run under the cursor."""
        if not self.is_mounted:
            return True
        row = self.history.row
        if action in ("retry", "cancel"):
            return row is not None and row.run.status.is_terminal == (action == "retry")
        if action in ("mark", "copy_id", "compare"):
            return row is not None
        if action == "delete":
            return row is not None or bool(self.history.marked)
        if action == "clear":
            return self._chosen != HistoryFilter() or bool(self.history.marked)
        return True

    def action_status(self) -> None:
        """The next choice of statuses."""
        self.choose(self._chosen.next_status())

    def action_failures(self) -> None:
        """Only what failed, or all again."""
        self.choose(self._chosen.failures())

    def action_period(self) -> None:
        """The next period."""
        self.choose(self._chosen.next_period())

    def action_workflow(self) -> None:
        """Only the runs of the workflow under the cursor, or of all again."""
        row = self.history.row
        if row is not None or self._chosen.workflow:
            self.choose(self._chosen.only(row.run.workflow if row is not None else ""))

    def action_children(self) -> None:
        """Show runs that are part of others, or do not."""
        self.choose(self._chosen.with_children())

    def action_clear(self) -> None:
        """Take the choices away, then the marks."""
        if self._chosen.is_narrow or self._chosen.children:
            self.choose(HistoryFilter())
        else:
            self.history.clear_marks()
            self._show_choices()

    def action_mark(self) -> None:
        """Mark the run under the cursor, or not."""
        self.history.toggle_mark()
        self._show_choices()
        self._offer()

    def action_compare(self) -> None:
        """Compare two marked runs, or the one under the cursor with an earlier one."""
        marked = list(self.history.marked)
        if len(marked) > 2:
            self.app.tell(f"{len(marked)} runs are marked: two can be compared.")
            return
        row = self.history.row
        self.app.command(show_comparison(self.app, marked, row.id if row is not None else None))

    def action_copy_id(self) -> None:
        """Copy the id of the run under the cursor."""
        if (row := self.history.row) is not None:
            self.app.tell(f"{row.id} copied {copy(self.app, row.id)}.")

    def action_retry(self) -> None:
        """Retry the run under the cursor."""
        if (row := self.history.row) is not None:
            self.app.command(retry(self.app, row.id))

    def action_cancel(self) -> None:
        """Cancel the run under the cursor."""
        if (row := self.history.row) is not None:
            self.app.command(cancel(self.app, row.id))

    def action_profile(self) -> None:
        """Show where the time of the run under the cursor went."""
        if (row := self.history.row) is not None:
            show_profile(self.app, row.id)

    def action_delete(self) -> None:
        """Delete the marked runs, else the one under the cursor; asks first."""
        row = self.history.row
        rows = list(self.history.marked.values()) or ([row] if row is not None else [])
        self.app.command(self._delete(rows))

    async def _delete(self, rows: Sequence[HistoryRow]) -> None:
        try:
            gone = await forget_runs(self.app, rows)
        finally:
            self._pages.wish_newest()
            self._read()
        if gone:
            for run_id in gone:
                self.history.marked.pop(run_id, None)
            self._pages.drop(gone)
            self._show_rows()
