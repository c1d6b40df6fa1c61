"""What a person has chosen to see of the history, and what a key makes of it. Knows no Textual."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentainer_tui.looks import LOOKS

if TYPE_CHECKING:
    from engine.facade import RunFilter

_ENDED = ("completed", "partially_completed", "failed", "cancelled")
# The name of a choice of statuses, and which ones it is.
STATUSES: dict[str, tuple[str, ...]] = {
    "any": (),
    "failures": ("failed", "partially_completed"),
    "live": ("pending", "running", "cancelling"),
    **{
        LOOKS[status].word: (status,)
        for status in ("completed", "partially_completed", "failed", "cancelled")
    },
}
PERIODS: dict[str, timedelta | None] = {
    "all": None,
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Text, a choice of `STATUSES`, a workflow (empty: all), one of `PERIODS`, and parts of other runs."""

    text: str = ""
    status: str = "any"
    workflow: str = ""
    period: str = "all"
    children: bool = False

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves runs out that are there without it."""
        return replace(self, children=False) != HistoryFilter()

    def wanted(self, now: datetime) -> RunFilter:
        """The same as the history takes it."""
        from engine.facade import RunFilter

        period = PERIODS[self.period]
        return RunFilter(
            text=self.text,
            workflow=self.workflow or None,
            statuses=STATUSES[self.status],
            since=now - period if period is not None else None,
            children=self.children,
        )

    def next_status(self) -> HistoryFilter:
        """The next choice of statuses."""
        return replace(self, status=_after(list(STATUSES), self.status))

    def next_period(self) -> HistoryFilter:
        """The next period."""
        return replace(self, period=_after(list(PERIODS), self.period))

    def failures(self) -> HistoryFilter:
        """Only what failed, or all again."""
        return replace(self, status="any" if self.status == "failures" else "failures")

    def only(self, workflow: str) -> HistoryFilter:
        """Only the runs of a workflow, or of all again."""
        return replace(self, workflow="" if self.workflow else workflow)

    def with_children(self) -> HistoryFilter:
        """With parts of other runs, or without."""
        return replace(self, children=not self.children)


def _after(names: list[str], name: str) -> str:
    return names[(names.index(name) + 1) % len(names)]
