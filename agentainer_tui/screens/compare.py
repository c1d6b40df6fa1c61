"""Two runs side by side: what differs in rows, and all about the selected row below or beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from agentainer_tui.areas import RUN
from agentainer_tui.comparison.entries import row_entries
from agentainer_tui.comparison.runs import Comparison
from agentainer_tui.comparison.words import delta_words, row_words, summary
from agentainer_tui.comparison.writing import markdown
from agentainer_tui.copying import copy
from agentainer_tui.feed import Changes, Feed
from agentainer_tui.flows.comparing import compared
from agentainer_tui.keymap import bindings
from agentainer_tui.looks import LOOKS, UNKNOWN
from agentainer_tui.screens.area import AreaScreen
from agentainer_tui.text import ago, clean, duration
from agentainer_tui.views import RunView, elapsed
from agentainer_tui.widgets.breadcrumbs import Crumb
from agentainer_tui.widgets.list_filter import ListFilter
from agentainer_tui.widgets.pair_list import PairList
from agentainer_tui.widgets.row_list import RowList
from agentainer_tui.widgets.run_title import COLOURS
from agentainer_tui.widgets.sheet_pane import SheetPane


class CompareScreen(AreaScreen):
    """Above whatever asked for it; escape leads back there."""

    CSS_PATH = "compare.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("compare")]
    AUTO_FOCUS = "#pairs"
    AREA: ClassVar[str] = RUN

    def __init__(self, feed: Feed, comparison: Comparison, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(feed, now=now)
        self.comparison = comparison
        self.only_differences = bool(comparison.telling)

    def compose_body(self) -> Iterable[Widget]:
        """Both runs in a line each, the rows, what is different."""
        yield Static(id="pair-title")
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                yield PairList(id="pairs")
                yield ListFilter("pairs")
            yield SheetPane(id="difference")

    def on_mount(self) -> None:
        """Views of runs in progress are kept up also after their end."""
        for run in (self.comparison.before, self.comparison.after):
            self.feed.open(run.id)

    def on_unmount(self) -> None:
        """They are not needed any more."""
        for run in (self.comparison.before, self.comparison.after):
            self.feed.close(run.id)

    @property
    def pairs(self) -> PairList:
        """The rows."""
        return self.query_one("#pairs", PairList)

    @property
    def difference(self) -> SheetPane:
        """What is different in the selected row."""
        return self.query_one("#difference", SheetPane)

    def crumbs(self) -> Sequence[Crumb]:
        """Both runs."""
        before, after = self.comparison.before, self.comparison.after
        return (
            Crumb(after.workflow, self.action_back),
            Crumb(f"{before.id} and {after.id}"),
        )

    # -- what is shown --------------------------------------------------------------------------------

    def concerns(self, changes: Changes) -> bool:
        """A run that goes on is compared anew."""
        if changes.views & {self.comparison.before.id, self.comparison.after.id}:
            self._compare()
        return False

    @work(exclusive=True, group="compare", exit_on_error=False)
    async def _compare(self) -> None:
        before, after = (
            self.feed.views.get(view.id, view) for view in (self.comparison.before, self.comparison.after)
        )
        self.comparison = await compared(self.app, before, after)
        self.show()

    def show(self) -> None:
        """Show everything as it is now."""
        self.show_header()
        self.query_one("#pair-title", Static).update(self._title())
        self.pairs.border_title = "Side by side"
        self.pairs.border_subtitle = Content(summary(self.comparison))
        self.pairs.empty = ("Nothing is different.", "d shows what is the same.")
        comparison = self.comparison
        rows = comparison.telling if self.only_differences else comparison.rows
        left = self.query_one(ListFilter).keep(rows, lambda row: f"{row.name} {row_words(row)}")
        self.pairs.show(left, comparison.widest_delta)
        self._show_row()

    @on(ListFilter.Changed)
    def _filter_changed(self) -> None:
        self.show()

    def _title(self) -> Content:
        before, after = self.comparison.before, self.comparison.after
        now = self.now()
        took = [elapsed(run.begun_at, run.finished_at, now) for run in (before, after)]
        lines = [
            self._side("first", before, took[0], ""),
            self._side("second", after, took[1], delta_words(*took)),
        ]
        width = max(20, self.size.width - 4)
        return Content("\n").join(line.truncate(width, ellipsis=True) for line in lines)

    def _side(self, name: str, run: RunView, took: float | None, delta: str) -> Content:
        look = LOOKS.get(run.status, UNKNOWN)
        when = ago(self.now() - run.begun_at) if run.begun_at is not None else ""
        return Content.assemble(
            (f"{name:<8}", COLOURS["muted"]),
            (clean(run.workflow, limit=40), "bold"),
            (f"  {run.id}  ", COLOURS["faint"]),
            (f"{self.app.glyphs.sign(look)} {look.word:<11}", COLOURS[look.ink]),
            (f"{duration(took):>6}", COLOURS["text"]),
            (f"  {delta}" if delta else "", COLOURS["success" if delta.startswith("-") else "warning"]),
            (f"   {when}", COLOURS["muted"]),
        )

    def on_resize(self) -> None:
        """The title is cut at the width."""
        if self.is_mounted:
            self.query_one("#pair-title", Static).update(self._title())

    def _show_row(self) -> None:
        row = self.pairs.row
        self.difference.border_title = Content(clean(row.name, limit=60)) if row is not None else ""
        entries = row_entries(row, only_differences=self.only_differences) if row is not None else []
        self.difference.show(entries)

    @on(RowList.Moved, "#pairs")
    def _moved(self) -> None:
        self.difference.clear()
        self._show_row()

    @on(RowList.Chosen, "#pairs")
    def _chosen(self) -> None:
        self.difference.sheet.focus()

    @on(SheetPane.Changed)
    def _status_changed(self) -> None:
        self.difference.border_subtitle = Content(self.difference.status)

    # -- actions --------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Back to where one came from."""
        self.dismiss(None)

    def action_only(self) -> None:
        """Only what differs, or everything."""
        self.only_differences = not self.only_differences
        self.show()

    def action_difference(self, by: int) -> None:
        """To the next row that differs, or the one before."""
        if not self.pairs.next_difference(by):
            self.app.bell()

    def action_swap(self) -> None:
        """The other run first."""
        self.comparison = type(self.comparison)(self.comparison.after, self.comparison.before, ())
        self._compare()

    def action_copy_report(self) -> None:
        """Copy the comparison as Markdown."""
        where = copy(self.app, markdown(self.comparison))
        self.app.tell(f"The comparison is copied as Markdown {where}.")

    def action_open_run(self, side: int) -> None:
        """Open one of the two runs."""
        run = (self.comparison.before, self.comparison.after)[side]
        self.dismiss(None)
        self.app.open_run(run.id)
