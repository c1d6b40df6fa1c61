"""What a profile consists of. All times are seconds; moments are counted from the run's start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.metrics.distribution import share
from engine.metrics.parallelism import Parallelism

Seconds = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StepSettings:
    """What the document says about a step, as far as time depends on it."""

    max_concurrency: int = 0
    batch_size: int = 1
    cpu_limit: int | None = None  # in billionths of a CPU
    memory_limit: int | None = None
    pool: str | None = None
    pool_max: int | None = None
    warm_up: bool = False
    network: str = "default"
    pull_policy: str = "missing"
    retry_delay: float = 0.0
    cached: bool = False


@dataclass(frozen=True, slots=True)
class WorkflowSettings:
    """What the document of a run says."""

    max_parallel: int = 0
    steps: Mapping[str, StepSettings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the events of a run; nothing of it need be.

    Attributes:
        max_tasks: how many tasks the machine runs at once.
        cpus: how many it has.
        workflows: the documents of the run and of those within it, by run.
        repeated: steps of the run itself that gave the same result in an earlier run with the same params.
        earlier_run: that run.
    """

    max_tasks: int | None = None
    cpus: int | None = None
    workflows: Mapping[str, WorkflowSettings] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()
    earlier_run: str | None = None

    def of(self, run_id: str, step_id: str | None) -> StepSettings | None:
        """The settings of a step, None if they are not known."""
        workflow = self.workflows.get(run_id)
        return workflow.steps.get(step_id or "") if workflow is not None else None


@dataclass(frozen=True, slots=True)
class AttemptProfile:
    """One attempt: `parts` from its making to its end; `cleanup` came after and held nobody up."""

    item: int | None
    number: int
    status: str
    reason: str | None
    begin: float
    end: float
    parts: Seconds
    cleanup: float = 0.0
    image: str | None = None
    pool: str | None = None
    warm: bool = False
    child_run: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    samples: Mapping[str, Any] | None = None

    @property
    def ran(self) -> float:
        """How long its task ran."""
        return self.parts.get("run", 0.0)

    def to_json(self) -> dict[str, Any]:
        """As `profile --json` prints it."""
        return {
            "item": self.item,
            "number": self.number,
            "status": self.status,
            "reason": self.reason,
            "begin": _exact(self.begin),
            "end": _exact(self.end),
            "parts": _parts(self.parts),
            "cleanup": _exact(self.cleanup),
            "pool": self.pool,
            "warm": self.warm,
            "child_run": self.child_run,
            "usage": dict(self.usage),
            "samples": dict(self.samples) if self.samples is not None else None,
        }


@dataclass(frozen=True, slots=True)
class ItemProfile:
    """One item of a map, or worker: from when the map was expanded to its end."""

    index: int
    status: str
    ready: float
    end: float
    parts: Seconds

    def to_json(self) -> dict[str, Any]:
        """As `profile --json` prints it."""
        return {
            "index": self.index,
            "status": self.status,
            "ready": _exact(self.ready),
            "end": _exact(self.end),
            "parts": _parts(self.parts),
        }


@dataclass(frozen=True, slots=True)
class StepProfile:
    """One step of the run, or of a run within it (`run_id`).

    Attributes:
        dependencies: how long it waited for other steps, from the start of its run.
        ready: when these had ended.
        wall: from then to its end.
        parts: its time, of all its items and attempts together; of a step without
            items, members and runs within it they sum up to `wall`.
        critical: how much of the critical path is its.
        cleanup: removing its agents, beside the run.
        max_at_once: how many of its attempts were in progress at the same time.
    """

    run_id: str
    id: str
    name: str
    type: str
    status: str
    role: str
    dependencies: float
    ready: float
    end: float
    parts: Seconds
    critical: float
    cleanup: float
    max_at_once: int
    items: tuple[ItemProfile, ...] = ()
    attempts: tuple[AttemptProfile, ...] = ()

    @property
    def wall(self) -> float:
        """From when it was ready to its end."""
        return max(0.0, self.end - self.ready)

    def to_json(self) -> dict[str, Any]:
        """As `profile --json` prints it."""
        return {
            "run_id": self.run_id,
            "step_id": self.id,
            "step_name": self.name,
            "type": self.type,
            "status": self.status,
            "role": self.role,
            "dependencies": _exact(self.dependencies),
            "ready": _exact(self.ready),
            "end": _exact(self.end),
            "wall": _exact(self.wall),
            "parts": _parts(self.parts),
            "critical": _exact(self.critical),
            "cleanup": _exact(self.cleanup),
            "max_at_once": self.max_at_once,
            "items": [item.to_json() for item in self.items],
            "attempts": [attempt.to_json() for attempt in self.attempts],
        }


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the critical path: an attempt, a wait, or (without a step) the engine's own work."""

    begin: float
    end: float
    run_id: str
    step_id: str | None
    item: int | None
    attempt: int | None
    parts: Seconds

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.begin

    def to_json(self) -> dict[str, Any]:
        """As `profile --json` prints it."""
        return {
            "begin": _exact(self.begin),
            "end": _exact(self.end),
            "seconds": _exact(self.seconds),
            "run_id": self.run_id,
            "step_id": self.step_id,
            "item": self.item,
            "attempt": self.attempt,
            "parts": _parts(self.parts),
        }


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Something that a run spent much of its time on.

    Attributes:
        type: wait, cpu, memory, io or concurrency.
        severity: low, medium or high, by its share.
        component: what it is about: the run, a step, an item.
        seconds: how much shorter the run could be without it, at most.
        share: of the run's duration.
        evidence: one sentence with the numbers.
    """

    type: str
    severity: str
    component: str
    seconds: float
    share: float
    evidence: str

    def to_json(self) -> dict[str, Any]:
        """As `profile --json` prints it."""
        impact = {"seconds": _exact(self.seconds), "share": round(self.share, 4)}
        return {
            "type": self.type,
            "severity": self.severity,
            "component": self.component,
            "impact": impact,
            "evidence": self.evidence,
        }


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A setting to change: where, what it is now, what it could be, and the numbers that say so."""

    component: str
    setting: str
    present: str | None
    proposed: str
    evidence: str

    def to_json(self) -> dict[str, Any]:
        """As `profile --json` prints it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of a run went.

    Attributes:
        waited: from its making to its start.
        duration: from its start to its end, or to now.
        parts: of the critical path; they sum up to `duration`.
        totals: of all work, and `cleanup`, which is beside it.
    """

    run_id: str
    workflow: str
    status: str
    live: bool
    profiled: bool
    waited: float
    duration: float
    parts: Seconds
    totals: Seconds
    path: tuple[Link, ...]
    steps: tuple[StepProfile, ...]
    parallelism: Parallelism
    bottlenecks: tuple[Bottleneck, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The profile of contract section 5, and what we know beside it."""
        return {
            "workflow_id": self.run_id,
            "workflow_name": self.workflow,
            "status": self.status,
            "live": self.live,
            "profiled": self.profiled,
            "waited": _exact(self.waited),
            "duration": _exact(self.duration),
            "parts": {
                part: {"seconds": _exact(seconds), "share": round(share(seconds, self.duration), 4)}
                for part, seconds in self.parts.items()
            },
            "totals": _parts(self.totals),
            "critical_path": [link.to_json() for link in self.path],
            "steps": [step.to_json() for step in self.steps],
            "parallelism": self.parallelism.to_json(),
            "bottlenecks": [bottleneck.to_json() for bottleneck in self.bottlenecks],
            "recommendations": [one.to_json() for one in self.recommendations],
        }


def _exact(seconds: float) -> float:
    return round(seconds, 6)


def _parts(parts: Seconds) -> dict[str, float]:
    return {part: _exact(seconds) for part, seconds in parts.items()}
