"""Figures over the runs of a period: how many, how they ended, how long things took, what was used."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from operator import itemgetter
from typing import Any, Protocol

from engine.clock import isoformat
from engine.events import RunStatus
from engine.metrics.aggregate_records import JUDGED, Aggregate, Bucket, ErrorClass, StepFigures
from engine.metrics.distribution import Distribution

Rows = Sequence[tuple[Any, ...]]

# Of the row of a run.
_STATUS, _CREATED = itemgetter(2), itemgetter(3)
_JUDGED = frozenset(JUDGED)


class Rowed(Protocol):
    """The rows of a period, as `history.figures.PeriodRows` describes them."""

    @property
    def runs(self) -> Rows:
        """Every run."""
        ...

    @property
    def sums(self) -> Rows:
        """Sums by workflow."""
        ...

    @property
    def errors(self) -> Rows:
        """Why runs ended."""
        ...

    @property
    def sampled(self) -> int:
        """How many runs steps and tasks are of."""
        ...

    @property
    def steps(self) -> Rows:
        """Steps that began."""
        ...

    @property
    def tasks(self) -> Rows:
        """Their tasks."""
        ...


@dataclass(frozen=True, slots=True)
class Period:
    """What is asked for, and the beginnings of its buckets (none: no buckets are wanted)."""

    workflow: str | None
    since: datetime | None
    until: datetime
    children: bool = False
    cuts: Sequence[datetime] = ()


def aggregate(rows: Rowed, period: Period) -> Aggregate:
    """The figures of a period."""
    wanted = [row for row in rows.runs if period.children or not row[1]]
    created = list(map(_CREATED, wanted))
    sums = _sums(rows.sums, children=period.children)
    errors = [
        ErrorClass(workflow, reason, count, run_id, error, created_at)
        for workflow, child, reason, count, run_id, error, created_at in rows.errors
        if period.children or not child
    ]
    return Aggregate(
        period.workflow,
        period.since,
        period.until,
        by_status=_statuses(wanted),
        child_runs=sum(bool(row[1]) for row in rows.runs),
        duration=_durations(wanted),
        **sums,
        errors=tuple(sorted(_merged(errors), key=lambda error: (-error.count, error.reason))),
        sampled=rows.sampled,
        queue=_distribution(row[2] for row in rows.tasks),
        startup=_distribution(row[3] for row in rows.tasks),
        step_figures=_step_figures(rows),
        buckets=_buckets(wanted, period.cuts),
        first_run_at=min(created, default=None),
        last_run_at=max(created, default=None),
    )


def by_workflow(rows: Rowed, period: Period) -> list[Aggregate]:
    """The figures of every workflow that has runs in the period, by name; without what steps tell."""
    runs, sums, errors = (_split(part) for part in (rows.runs, rows.sums, rows.errors))
    return [
        aggregate(
            _Part(runs[name], sums[name], errors[name]),
            Period(name, period.since, period.until, period.children, period.cuts),
        )
        for name in sorted(runs)
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    runs: Rows
    sums: Rows
    errors: Rows
    sampled: int = 0
    steps: Rows = ()
    tasks: Rows = ()


def _split(rows: Rows) -> defaultdict[str, list[tuple[Any, ...]]]:
    found = defaultdict[str, list[tuple[Any, ...]]](list)
    for row in rows:
        found[row[0]].append(row)
    return found


_SUMS = (
    *("retries", "steps", "failed_steps", "tasks", "deployed", "pool_hits", "pool_misses", "cpu_seconds"),
    *("memory_peak", "network_in", "network_out"),
)


def _sums(rows: Rows, *, children: bool) -> dict[str, Any]:
    columns = list(zip(*(row[2:] for row in rows if children or not row[1]), strict=True))
    if not columns:
        return {}
    sums = {name: sum(value or 0 for value in values) for name, values in zip(_SUMS, columns, strict=True)}
    return {**sums, "memory_peak": max(value or 0 for value in columns[_SUMS.index("memory_peak")])}


def _merged(errors: Iterable[ErrorClass]) -> list[ErrorClass]:
    """One class for each reason: workflows and child runs were counted apart."""
    found: dict[str, ErrorClass] = {}
    for error in errors:
        if (other := found.get(error.reason)) is not None:
            newest = max(error, other, key=lambda one: (one.created_at, one.run_id))
            error = replace(newest, count=error.count + other.count)
        found[error.reason] = error
    return list(found.values())


def _statuses(runs: Iterable[tuple[Any, ...]]) -> dict[str, int]:
    return dict(sorted(Counter(map(_STATUS, runs)).items()))


def _durations(runs: Iterable[tuple[Any, ...]]) -> Distribution:
    """Of runs that ended by themselves."""
    return _distribution([row[4] for row in runs if row[2] in _JUDGED])


def _distribution(values: Iterable[float | None]) -> Distribution:
    return Distribution.of(sorted([value for value in values if value is not None]))


def _buckets(runs: Iterable[tuple[Any, ...]], cuts: Sequence[datetime]) -> tuple[Bucket, ...]:
    if not cuts:
        return ()
    # Histories come in long stretches that are in order already, which makes sorting cheap.
    ordered = sorted(runs, key=_CREATED)
    created = list(map(_CREATED, ordered))
    places = [bisect_left(created, isoformat(start)) for start in cuts]
    parts = [ordered[first:last] for first, last in pairwise((*places, len(ordered)))]
    return tuple(
        Bucket(start, _statuses(part), _durations(part)) for start, part in zip(cuts, parts, strict=True)
    )


def _step_figures(rows: Rowed) -> tuple[StepFigures, ...]:
    steps = defaultdict[tuple[str, str], list[tuple[Any, ...]]](list)
    for row in rows.steps:
        steps[row[0], row[1]].append(row)
    tasks = defaultdict[tuple[str, str], list[tuple[Any, ...]]](list)
    for row in rows.tasks:
        tasks[row[0], row[1]].append(row)
    figures = [
        StepFigures(
            workflow,
            step_id,
            found[-1][2],
            started=len(found),
            failed=sum(row[3] == RunStatus.FAILED.value for row in found),
            retries=sum(row[6] > 1 for row in tasks[workflow, step_id]),
            duration=_distribution(row[4] for row in found),
            queue=_distribution(row[2] for row in tasks[workflow, step_id]),
            startup=_distribution(row[3] for row in tasks[workflow, step_id]),
            cpu_seconds=sum(row[4] or 0.0 for row in tasks[workflow, step_id]),
            memory_peak=max((row[5] or 0 for row in tasks[workflow, step_id]), default=0),
        )
        for (workflow, step_id), found in steps.items()
    ]
    return tuple(sorted(figures, key=lambda one: (-(one.duration.p50 or 0.0), one.workflow, one.step_id)))
