"""What figures over the runs of a period are handed out as.

Nothing is ever NaN. A share of nothing is 0; a duration of nothing is None. What a person cancelled says
nothing about a workflow: it counts as a run, and neither in the success rate nor in the durations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

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
        judged = judged_in(self.by_status)
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
        return judged_in(self.by_status)

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


def judged_in(by_status: Mapping[str, int]) -> int:
    """How many runs ended by themselves, of those in each status."""
    return sum(by_status.get(status, 0) for status in JUDGED)
