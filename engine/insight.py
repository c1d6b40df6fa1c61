"""The Metrics Collector's answers: the history is read, `engine.metrics` makes reports of what it says.

They only read, and work while another process holds the home. `facade` hands this module on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from engine.clock import parse_time
from engine.history.figures import Scope
from engine.metrics.aggregate import Period, aggregate, by_workflow
from engine.metrics.aggregate_records import Aggregate, Bucket, ErrorClass, StepFigures
from engine.metrics.distribution import Distribution
from engine.metrics.periods import cut, parse_since
from engine.metrics.prometheus import exposition
from engine.metrics.reports import ResourceUsage, StepMetrics, WorkflowMetrics, workflow_metrics

if TYPE_CHECKING:
    from engine.history.reader import Reader

__all__ = [
    "Aggregate",
    "Bucket",
    "Distribution",
    "ErrorClass",
    "Insight",
    "ResourceUsage",
    "StepFigures",
    "StepMetrics",
    "WorkflowMetrics",
    "insight",
    "metrics_of_run",
    "parse_since",
    "prometheus_text",
]


@dataclass(frozen=True, slots=True)
class Insight:
    """Figures over a period: over all runs that were asked for, and workflow by workflow."""

    overall: Aggregate
    workflows: tuple[Aggregate, ...]


async def metrics_of_run(history: Reader, ref: str, *, now: datetime | None = None) -> WorkflowMetrics:
    """The metrics of a run, live or over.

    Raises:
        UsageError: there is no such run.
        HistoryError: the history cannot be read.
    """
    run = await history.run(ref)
    return workflow_metrics(await history.run_rows(run.id), now or datetime.now(UTC))


async def insight(
    history: Reader,
    *,
    workflow: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    children: bool = False,
    zone: tzinfo | None = None,
    details: bool = True,
) -> Insight:
    """Figures over the runs that were created in a period.

    Args:
        history: to read.
        workflow: only its runs; None for all.
        since: beginning of the period; None for all there is.
        until: its end, None for now.
        children: whether runs that are part of others count, too.
        zone: whose days the period is cut into, None for this machine's.
        details: whether to say anything about steps and tasks, which takes most of the time.

    Raises:
        HistoryError: the history cannot be read.
    """
    end = until or datetime.now(UTC)
    rows = await history.period_rows(Scope(workflow, since, until, children), details=details)
    start = since or _first(rows.runs)
    cuts = cut(start, end, zone) if start is not None and start < end else []
    period = Period(workflow, since, end, children, cuts)
    return Insight(aggregate(rows, period), tuple(by_workflow(rows, period)))


async def prometheus_text(history: Reader) -> str:
    """All figures of a home in Prometheus' text format.

    Raises:
        HistoryError: the history cannot be read.
    """
    rows = await history.period_rows(Scope(), details=False)
    return exposition(await history.counter_rows(), by_workflow(rows, Period(None, None, datetime.now(UTC))))


def _first(runs: list[tuple[object, ...]]) -> datetime | None:
    first = min((str(row[3]) for row in runs), default=None)
    return parse_time(first) if first is not None else None
