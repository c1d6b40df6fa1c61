"""The workflows of the history with the figures that matter most, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentainer_tui.charts import sparkline, thin
from agentainer_tui.metrics_page import percent
from agentainer_tui.text import precise
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from engine.facade import Aggregate

ALL = ""
_TREND = 10


class FiguresList(RowList):
    """One row a workflow: runs, rate of success, median, and how that went over the period."""

    HEADER = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._figures: dict[str, Aggregate] = {}

    def show(self, overall: Aggregate, workflows: Sequence[Aggregate]) -> None:
        """Take the figures of a period; the cursor stays on its workflow."""
        self._figures = {ALL: overall, **{one.workflow or "": one for one in workflows}}
        self.set_keys(list(self._figures))

    @property
    def workflow(self) -> str | None:
        """The workflow under the cursor, None for all."""
        return str(self.key) if self.key else None

    def draw_header(self, width: int) -> Row:
        """The names of the columns."""
        muted, name, trend = self.ink("muted"), *_rooms(width)
        row = Row().gap(2).cell("WORKFLOW", name, muted).gap()
        row.cell("RUNS", 6, muted, right=True).cell("OK", 6, muted, right=True)
        row.cell("MEDIAN", 8, muted, right=True)
        return row.gap(2).cell("TREND", trend, muted) if trend else row

    def draw_row(self, place: int, width: int) -> Row:
        """The workflow at `place`."""
        key = str(self.keys[place])
        figures = self._figures[key]
        name, trend = _rooms(width)
        row = self.mark(place).gap()
        row.cell(key or "All workflows", name, self.ink("text" if key else "strong")).gap()
        row.cell(f"{figures.runs:,}", 6, self.ink("muted"), right=True)
        rate = percent(figures.success_rate) if figures.judged else ""
        row.cell(rate, 6, self.ink(_rate_ink(figures)), right=True)
        row.cell(precise(figures.duration.p50), 8, self.ink("muted"), right=True)
        if trend:
            medians = [bucket.duration.p50 for bucket in figures.buckets]
            line = sparkline(thin(medians, trend), ascii_only=self.glyphs.is_ascii)
            row.gap(2).cell(line, trend, self.ink("running"))
        return row


def _rooms(width: int) -> tuple[int, int]:
    """Cells for the name and for the trend."""
    trend = _TREND if width >= 50 else 0
    return max(8, width - 2 - 1 - 20 - (trend + 2 if trend else 0) - 1), trend


def _rate_ink(figures: Aggregate) -> str:
    if not figures.judged:
        return "faint"
    return "success" if figures.success_rate >= 0.9 else "warning" if figures.success_rate >= 0.6 else "error"
