"""The metrics of one run, live or over: what took how long, and what its agents used (contract section 5).

Numbers are numbers: what is not known to have been used is 0. Times that are not there yet are null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from engine.clock import isoformat, parse_time
from engine.metrics.distribution import share

Row = tuple[Any, ...]


class Rowed(Protocol):
    """The rows of a run, as `history.figures.RunRows` describes them."""

    @property
    def run(self) -> Row:
        """The run."""
        ...

    @property
    def steps(self) -> Sequence[Row]:
        """Its steps."""
        ...

    @property
    def failures(self) -> Sequence[Row]:
        """What failed in it."""
        ...

    @property
    def failed(self) -> int:
        """How much failed."""
        ...


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """What agents used while something ran that took `duration` seconds.

    Attributes:
        duration: of the step or run, None before its start.
        cpu_seconds: CPU time of all agents together.
        memory_bytes: the most that one agent needed.
        network_bytes_in, network_bytes_out: of all agents together.
        tasks: that had an agent.
        agents_deployed: agents that were started for it.
        agents_reused: tasks of pools that found a ready agent.
        pool_misses: tasks of pools that did not.
    """

    duration: float | None = None
    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    network_bytes_in: int = 0
    network_bytes_out: int = 0
    tasks: int = 0
    agents_deployed: int = 0
    agents_reused: int = 0
    pool_misses: int = 0

    @property
    def cpu_millicores(self) -> float:
        """CPU time for the time that it took: 1000 is one core all the time."""
        return round(1000 * self.cpu_seconds / self.duration, 3) if self.duration else 0.0

    @property
    def pool_utilization(self) -> float:
        """Of its tasks those that a warm agent took which was ready, 0 to 1."""
        return share(self.agents_reused, self.tasks)

    def to_json(self) -> dict[str, Any]:
        """The `resource_usage` of the contract, and what we know beside it."""
        return {
            "cpu_millicores": self.cpu_millicores,
            "memory_bytes": self.memory_bytes,
            "network_bytes_in": self.network_bytes_in,
            "network_bytes_out": self.network_bytes_out,
            "agents_deployed": self.agents_deployed,
            "agents_reused": self.agents_reused,
            "pool_utilization": self.pool_utilization,
            "cpu_seconds": self.cpu_seconds,
            "tasks": self.tasks,
            "pool_misses": self.pool_misses,
        }


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """One step of a run. `duration` counts on while it runs."""

    step_id: str
    step_name: str
    step_type: str
    status: str
    reason: str | None
    error: str | None
    start_time: str | None
    end_time: str | None
    duration: float
    retry_count: int
    agent_id: str | None
    agent_pooled: bool
    resource_usage: ResourceUsage

    def to_json(self) -> dict[str, Any]:
        """The entry of `step_metrics`."""
        return {
            "step_id": self.step_id,
            "step_name": self.step_name,
            "step_type": self.step_type,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "duration": self.duration,
            "status": self.status,
            "retry_count": self.retry_count,
            "agent_id": self.agent_id,
            "agent_pooled": self.agent_pooled,
            "resource_usage": self.resource_usage.to_json(),
            "reason": self.reason,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """A step or item that failed for good."""

    step_id: str
    item: int | None
    reason: str | None
    error: str | None
    time: str | None

    def to_json(self) -> dict[str, Any]:
        """The entry of `errors`."""
        return {
            "step_id": self.step_id,
            "item": self.item,
            "reason": self.reason,
            "error": self.error,
            "time": self.time,
        }


@dataclass(frozen=True, slots=True)
class WorkflowMetrics:
    """The metrics of one run; `failed` is how many `errors` there are, of which the first are here."""

    workflow_id: str
    workflow_name: str
    status: str
    reason: str | None
    error: str | None
    is_child: bool
    start_time: str | None
    end_time: str | None
    duration: float
    steps: tuple[StepMetrics, ...]
    resource_usage: ResourceUsage
    errors: tuple[Failure, ...]
    failed: int

    def to_json(self) -> dict[str, Any]:
        """The metrics of contract section 5, and what we know beside them."""
        return {
            "workflow_id": self.workflow_id,
            "workflow_name": self.workflow_name,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "duration": self.duration,
            "status": self.status,
            "reason": self.reason,
            "error": self.error,
            "is_child": self.is_child,
            "step_metrics": {step.step_id: step.to_json() for step in self.steps},
            "resource_usage": self.resource_usage.to_json(),
            "errors": [error.to_json() for error in self.errors],
            "error_count": self.failed,
        }

    def summary(self) -> dict[str, Any]:
        """What `metrics:events` tells: the run as a whole, and how many of its steps stand how."""
        by_status: dict[str, int] = {}
        for step in self.steps:
            by_status[step.status] = by_status.get(step.status, 0) + 1
        return {
            "workflow_id": self.workflow_id,
            "workflow_name": self.workflow_name,
            "status": self.status,
            "duration": self.duration,
            "steps": by_status,
            "resource_usage": self.resource_usage.to_json(),
            "error_count": self.failed,
        }


def workflow_metrics(rows: Rowed, now: datetime) -> WorkflowMetrics:
    """The metrics of a run as of `now`, which is its end where it has one."""
    run_id, workflow, status, reason, error, started, finished, took, child = rows.run
    steps = tuple(_step(row, now) for row in rows.steps)
    duration = _duration(started, finished, took, now)
    return WorkflowMetrics(
        run_id,
        workflow,
        status,
        reason,
        error,
        bool(child),
        started,
        finished,
        duration or 0.0,
        steps,
        _total((step.resource_usage for step in steps), duration),
        tuple(Failure(*failure) for failure in rows.failures),
        rows.failed,
    )


def _step(row: Row, now: datetime) -> StepMetrics:
    step_id, name, type_, status, reason, error, started, finished, took, again, agent, pooled = row[:12]
    tasks, deployed, hits, misses, cpu, memory, received, sent = row[12:]
    duration = _duration(started, finished, took, now)
    usage = ResourceUsage(
        duration, cpu or 0.0, memory or 0, received or 0, sent or 0, tasks, deployed, hits, misses
    )
    return StepMetrics(
        step_id,
        name,
        type_,
        status,
        reason,
        error,
        started,
        finished,
        duration or 0.0,
        again,
        agent,
        bool(pooled),
        usage,
    )


def _duration(
    started: str | None, finished: str | None, measured: float | None, now: datetime
) -> float | None:
    """Seconds from start to end, or to `now`; None before the start."""
    if measured is not None:
        return float(measured)
    if started is None:
        return None
    end = parse_time(finished) if finished else now
    return round(max(0.0, (end - parse_time(started)).total_seconds()), 6)


def _total(parts: Iterable[ResourceUsage], duration: float | None) -> ResourceUsage:
    usages = list(parts)
    return ResourceUsage(
        duration,
        round(sum(usage.cpu_seconds for usage in usages), 6),
        max((usage.memory_bytes for usage in usages), default=0),
        sum(usage.network_bytes_in for usage in usages),
        sum(usage.network_bytes_out for usage in usages),
        sum(usage.tasks for usage in usages),
        sum(usage.agents_deployed for usage in usages),
        sum(usage.agents_reused for usage in usages),
        sum(usage.pool_misses for usage in usages),
    )


def event_message(metrics: WorkflowMetrics, time: datetime) -> dict[str, Any]:
    """The message of `metrics:events`."""
    return {"type": "workflow_metrics", "timestamp": isoformat(time), **metrics.summary()}
