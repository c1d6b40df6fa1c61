"""Figures over the runs of a period: how many, how they ended, how long things took, what was used.

Nothing is ever NaN. A share of nothing is 0; a duration of nothing is None. What a person cancelled says
nothing about a workflow: it counts as a run, and neither in the success rate nor in the durations.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from engine.clock import isoformat, parse_time
from engine.events import RunStatus
from engine.metrics.distribution import NOTHING, Distribution, share

COMPLETED = RunStatus.COMPLETED.value
JUDGED = (COMPLETED, RunStatus.PARTIALLY_COMPLETED.value, RunStatus.FAILED.value)
"""Statuses of runs that ended by themselves."""


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """Runs that ended for one reason: how many, and the newest of them, which is of `workflow`."""

    workflow: str
    reason: str
    count: int
    run_id: str
    error: str | None
    created_at: str

    def to_json(self) -> dict[str, Any]:
        """As `stats --json` prints it."""
        return {
            "reason": self.reason,
            "count": self.count,
            "newest": {
                "run_id": self.run_id,
                "workflow": self.workflow,
                "error": self.error,
                "created_at": self.created_at,
            },
        }


@dataclass(frozen=True, slots=True)
class StepFigures:
    """One step over the runs that were looked at: how often it began and failed, and its durations.

    `queue` and `startup` are of its tasks: seconds of waiting for a slot, and of getting an agent to run.
    """

    workflow: str
    step_id: str
    step_name: str
    started: int
    failed: int
    retries: int
    duration: Distribution
    queue: Distribution
    startup: Distribution
    cpu_seconds: float
    memory_peak: int

    def to_json(self) -> dict[str, Any]:
        """As `stats --json` prints it."""
        return {
            "workflow": self.workflow,
            "step_id": self.step_id,
            "step_name": self.step_name,
            "started": self.started,
            "failed": self.failed,
            "retries": self.retries,
            "duration": self.duration.to_json(),
            "queue": self.queue.to_json(),
            "startup": self.startup.to_json(),
            "cpu_seconds": self.cpu_seconds,
            "memory_bytes": self.memory_peak,
        }


@dataclass(frozen=True, slots=True)
class Bucket:
    """The runs that were created in one part of the period, from `start` on."""

    start: datetime
    by_status: dict[str, int]
    duration: Distribution

    @property
    def runs(self) -> int:
        """How many."""
        return sum(self.by_status.values())

    @property
    def success_rate(self) -> float | None:
        """Completed among those that ended by themselves; None without any."""
        judged = _judged(self.by_status)
        return share(self.by_status.get(COMPLETED, 0), judged) if judged else None

    def to_json(self) -> dict[str, Any]:
        """As `stats --json` prints it."""
        return {
            "start": isoformat(self.start),
            "runs": self.runs,
            "by_status": self.by_status,
            "success_rate": self.success_rate,
            "duration": self.duration.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Figures over the runs of one workflow (None: of all) that were created in a period.

    Attributes:
        workflow, since, until: what was looked at; `since` is None for all there is.
        by_status: how many runs stand in each status; statuses without runs are left out.
        child_runs: runs that are part of others; unless they were asked for, in no other figure.
        duration: seconds, of the runs that ended by themselves.
        retries, steps, failed_steps, tasks: of the runs that are over.
        deployed: agents that were started; `pool_hits`, `pool_misses`: tasks of pools that found a ready
            agent, and that did not.
        cpu_seconds, memory_peak, network_in, network_out: what is known to have been used.
        errors: why runs ended, most frequent first.
        sampled: of how many newest runs the rest is.
        queue, startup: seconds that tasks waited for a slot, and that it took to get an agent to run.
        step_figures: the steps, longest median first.
        buckets: the period in parts, in order.
        first_run_at, last_run_at: when the first and the last of the runs were created.
    """

    workflow: str | None
    since: datetime | None
    until: datetime
    by_status: dict[str, int] = field(default_factory=dict)
    child_runs: int = 0
    duration: Distribution = NOTHING
    retries: int = 0
    steps: int = 0
    failed_steps: int = 0
    tasks: int = 0
    deployed: int = 0
    pool_hits: int = 0
    pool_misses: int = 0
    cpu_seconds: float = 0.0
    memory_peak: int = 0
    network_in: int = 0
    network_out: int = 0
    errors: tuple[ErrorClass, ...] = ()
    sampled: int = 0
    queue: Distribution = NOTHING
    startup: Distribution = NOTHING
    step_figures: tuple[StepFigures, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    first_run_at: str | None = None
    last_run_at: str | None = None

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return sum(self.by_status.values())

    @property
    def judged(self) -> int:
        """How many of them ended by themselves."""
        return _judged(self.by_status)

    @property
    def success_rate(self) -> float:
        """Completed among those that ended by themselves, 0 to 1; 0 without any (`judged`)."""
        return share(self.by_status.get(COMPLETED, 0), self.judged)

    @property
    def pool_efficiency(self) -> float:
        """Tasks of pools that found a ready agent, 0 to 1; 0 without any."""
        return share(self.pool_hits, self.pool_hits + self.pool_misses)

    @property
    def seconds(self) -> float:
        """Length of the period: from `since`, or else from the first run, to `until`."""
        start = self.since or (parse_time(self.first_run_at) if self.first_run_at else self.until)
        return max(0.0, (self.until - start).total_seconds())

    def to_json(self) -> dict[str, Any]:
        """The aggregate of contract section 5, and what we know beside it."""
        return {
            "workflow": self.workflow,
            "period": self.seconds,
            "since": isoformat(self.since) if self.since else None,
            "until": isoformat(self.until),
            "total_workflows": self.runs,
            "completed_workflows": self.by_status.get(COMPLETED, 0),
            "failed_workflows": self.by_status.get(RunStatus.FAILED.value, 0),
            "judged_workflows": self.judged,
            "child_workflows": self.child_runs,
            "by_status": self.by_status,
            "success_rate": self.success_rate,
            "avg_duration": self.duration.average or 0.0,
            "duration": self.duration.to_json(),
            "queue": self.queue.to_json(),
            "startup": self.startup.to_json(),
            "total_steps": self.steps,
            "failed_steps": self.failed_steps,
            "total_tasks": self.tasks,
            "retries": self.retries,
            "agents_deployed": self.deployed,
            "agents_reused": self.pool_hits,
            "pool_misses": self.pool_misses,
            "pool_efficiency": self.pool_efficiency,
            "cpu_seconds": self.cpu_seconds,
            "memory_bytes": self.memory_peak,
            "network_bytes_in": self.network_in,
            "network_bytes_out": self.network_out,
            "errors": [error.to_json() for error in self.errors],
            "sampled_workflows": self.sampled,
            "steps": [step.to_json() for step in self.step_figures],
            "buckets": [bucket.to_json() for bucket in self.buckets],
            "first_run_at": self.first_run_at,
            "last_run_at": self.last_run_at,
        }


Rows = Sequence[tuple[Any, ...]]


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
    created = [row[3] for row in wanted]
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
        by_status=dict(sorted(Counter(row[2] for row in wanted).items())),
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


def _judged(by_status: dict[str, int]) -> int:
    return sum(by_status.get(status, 0) for status in JUDGED)


def _durations(runs: Iterable[tuple[Any, ...]]) -> Distribution:
    """Of runs that ended by themselves."""
    return _distribution(row[4] for row in runs if row[2] in JUDGED)


def _distribution(values: Iterable[float | None]) -> Distribution:
    return Distribution.of(sorted(value for value in values if value is not None))


def _buckets(runs: Iterable[tuple[Any, ...]], cuts: Sequence[datetime]) -> tuple[Bucket, ...]:
    if not cuts:
        return ()
    bounds = [isoformat(start) for start in cuts]
    parts: list[list[tuple[Any, ...]]] = [[] for _ in cuts]
    for row in runs:
        if (place := bisect_right(bounds, row[3])) > 0:
            parts[place - 1].append(row)
    return tuple(
        Bucket(start, dict(sorted(Counter(row[2] for row in part).items())), _durations(part))
        for start, part in zip(cuts, parts, strict=True)
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
