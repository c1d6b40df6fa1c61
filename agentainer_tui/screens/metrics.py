"""Figures and charts over the runs of a period: of one workflow, and of all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget

from agentainer_tui import metrics_page
from agentainer_tui.areas import METRICS
from agentainer_tui.feed import Changes, Feed
from agentainer_tui.flows.showing import show_runs
from agentainer_tui.history_filter import PERIODS, HistoryFilter
from agentainer_tui.keymap import bindings
from agentainer_tui.screens.area import AreaScreen
from agentainer_tui.text import clean
from agentainer_tui.widgets.breadcrumbs import Crumb
from agentainer_tui.widgets.chart_view import ChartView
from agentainer_tui.widgets.choice_bar import ChoiceBar, Choices
from agentainer_tui.widgets.figures_list import FiguresList
from agentainer_tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from engine.facade import Aggregate

_PERIODS = ("24h", "7d", "30d", "all")
_FIRST = "30d"
# Seconds that the cursor rests on a workflow before its steps are read, and between two readings.
_REST, _PAUSE = 0.15, 2.0


@dataclass(slots=True)
class _Known:
    """What was read of one period: quickly of all workflows, and in detail of some."""

    overall: Aggregate
    workflows: dict[str, Aggregate]
    detailed: dict[str | None, Aggregate]

    def of(self, workflow: str | None) -> Aggregate | None:
        """The best there is."""
        quick = self.overall if workflow is None else self.workflows.get(workflow)
        return self.detailed.get(workflow, quick)


class MetricsScreen(AreaScreen):
    """Workflows on one side, the figures of the selected one on the other."""

    CSS_PATH = "metrics.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("metrics")]
    AUTO_FOCUS = "#workflows"
    AREA: ClassVar[str] = METRICS

    def __init__(self, feed: Feed, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(feed, now=now)
        self._period = _FIRST
        self._known: dict[str, _Known] = {}
        self._stale = True
        self._last_end = 0.0

    def compose_body(self) -> Iterable[Widget]:
        """Periods, workflows, figures."""
        yield ChoiceBar([f"period('{name}')" for name in _PERIODS], id="periods")
        with Horizontal(id="panes"):
            yield FiguresList(id="workflows")
            yield ChartView(id="figures")

    def on_mount(self) -> None:
        """Titles."""
        self.workflows.border_title = "Workflows"
        self.workflows.empty = ("Reading…",)

    def crumbs(self) -> Sequence[Crumb]:
        """Here, and the workflow."""
        workflow = self.workflows.workflow
        here = Crumb("Metrics of this home", self._all_workflows if workflow else None)
        return (here, Crumb(workflow)) if workflow else (here,)

    def _all_workflows(self) -> None:
        self.workflows.action_cursor_first()

    @property
    def workflows(self) -> FiguresList:
        """The list of workflows."""
        return self.query_one("#workflows", FiguresList)

    @property
    def figures(self) -> ChartView:
        """The page of figures."""
        return self.query_one("#figures", ChartView)

    # -- what is shown --------------------------------------------------------------------------------

    def concerns(self, changes: Changes) -> bool:
        """Only the ends of runs change figures."""
        return bool(changes.finished) or not self._known

    def show(self) -> None:
        """Show what is known, and read again if runs have ended since."""
        self.show_header()
        last_end = max((row.finished_at or 0.0 for row in self.feed.rows.values()), default=0.0)
        if last_end > self._last_end:
            self._last_end = last_end
            self._stale = True
        self._show_figures()
        if self._stale and self.app.facts is not None:
            self._read()

    def _show_figures(self) -> None:
        known = self._known.get(self._period)
        choices = [Choices("", name, f"period('{name}')", name == self._period) for name in _PERIODS]
        self.query_one(ChoiceBar).show(choices, "" if known is not None else "reading…")
        if known is None:
            return
        self.workflows.show(known.overall, list(known.workflows.values()))
        self._show_page()

    def _show_page(self) -> None:
        known = self._known.get(self._period)
        view, workflow = self.figures, self.workflows.workflow
        view.border_title = Content(clean(workflow, limit=60) if workflow else "All workflows")
        figures = known.of(workflow) if known is not None else None
        width = max(20, view.inner_width - 2)
        if known is None or figures is None:
            view.set_lines([(("Reading…", "muted"),)] if known is None else [])
        elif not figures.runs:
            view.set_lines(metrics_page.nothing(self._period, workflow, width))
        else:
            view.set_lines(
                metrics_page.page(
                    figures,
                    width=width,
                    glyphs=self.app.chart_glyphs,
                    now=self.now(),
                    detailed=workflow in known.detailed,
                )
            )
        self.show_header()

    def on_resize(self) -> None:
        """Charts are drawn for their width; what that is, is known after the layout."""
        self.call_after_refresh(self._show_page)

    # -- reading --------------------------------------------------------------------------------------

    @work(exclusive=True, group="figures", exit_on_error=False)
    async def _read(self) -> None:
        """Read the counts of all workflows, which are there soon, then the rest of the selected one."""
        while True:
            period, self._stale = self._period, False
            begun = time.monotonic()
            found = await self.app.client.figures(None, self._since(period), details=False)
            workflows = {one.workflow or "": one for one in found.workflows}
            # What was known in detail stays until it is known better: nothing jumps.
            before = self._known.get(period)
            detailed = dict(before.detailed) if before is not None else {}
            self._known[period] = _Known(found.overall, workflows, detailed)
            self._show_figures()
            await self._read_details(period)
            taken = time.monotonic() - begun
            if not self._stale and period == self._period:
                return
            await asyncio.sleep(max(_PAUSE, 5 * taken))

    async def _read_details(self, period: str) -> None:
        workflow, known = self.workflows.workflow, self._known[period]
        found = await self.app.client.figures(workflow, self._since(period), details=True)
        known.detailed = {workflow: found.overall}
        if period == self._period:
            self._show_page()

    @work(exclusive=True, group="details", exit_on_error=False)
    async def _read_selected(self) -> None:
        await asyncio.sleep(_REST)
        if self._period in self._known:
            await self._read_details(self._period)

    def _since(self, period: str) -> datetime | None:
        length = PERIODS[period]
        return datetime.fromtimestamp(self.now(), UTC) - length if length is not None else None

    # -- actions --------------------------------------------------------------------------------------

    @on(RowList.Moved, "#workflows")
    def _other_workflow(self) -> None:
        self.figures.scroll_home(animate=False)
        self._show_page()
        known = self._known.get(self._period)
        if known is not None and self.workflows.workflow not in known.detailed:
            self._read_selected()

    @on(RowList.Chosen, "#workflows")
    def _open_runs(self) -> None:
        self.action_runs()

    def action_period(self, name: str) -> None:
        """Show another period."""
        if name != self._period:
            self._period = name
            self._stale = True
            self._show_figures()
            self._read()

    def action_next_period(self, by: int = 1) -> None:
        """The next period, or the one before."""
        self.action_period(_PERIODS[(_PERIODS.index(self._period) + by) % len(_PERIODS)])

    def action_runs(self) -> None:
        """Show these runs in the history."""
        show_runs(self.app, HistoryFilter(workflow=self.workflows.workflow or "", period=self._period))

    def action_reread(self) -> None:
        """Read everything again."""
        self._stale = True
        self._read()
