"""The frozen view models: what the screens show. All times are seconds since the epoch (UTC)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.clock import parse_time
from engine.events import RunStatus, StepStatus

if TYPE_CHECKING:
    from engine.facade import RunRecord


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One try of a step or item.

    Attributes:
        created_seq: the event that made it: the shared state as of that event is what it was given.
        env: variables whose values were put together from the state, as they were.
        pool, placement: of a pooled task, the pool, and which warm agent it got.
        phases: where its seconds went.
        usage: what it used.
        removed_by: who or what removed its agent.
    """

    number: int
    status: StepStatus = StepStatus.PENDING
    task_id: str = ""
    agent: str = ""
    agent_id: str = ""
    backend: str = ""
    image: str = ""
    log: str = ""
    created_seq: int = 0
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    reason: str = ""
    exit_code: int | None = None
    error: str = ""
    kept: bool = False
    child_run: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    pool: str = ""
    placement: Mapping[str, Any] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    removed_by: str = ""
    image_id: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """The step (or item of it) of another run: where a result was remembered from, whose child a run is."""

    run_id: str
    step_id: str
    item: int | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """What a step or item waits for before it can go on; `why` is empty while it waits for nothing.

    Attributes:
        why: `slot`, `image`, `start`, `approval` or `delay`.
        detail: more about it; of an approval, its message.
        due: when the wait ends by itself.
        default: of an approval, what is answered then; None lets it fail.
    """

    why: str = ""
    detail: str = ""
    due: float | None = None
    default: bool | None = None

    def __bool__(self) -> bool:
        return bool(self.why)


NO_WAIT = Wait()


@dataclass(frozen=True, slots=True)
class RouteView:
    """One way out of a decision or branch."""

    label: str
    targets: tuple[str, ...] = ()
    workflow: str = ""


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """A file or directory that a task left; `size` in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class ItemView:
    """One element of a map step, or one worker of a parallel step."""

    index: int
    value: Any = None
    status: StepStatus = StepStatus.PENDING
    reason: str = ""
    error: str = ""
    result: Any = None
    exit_code: int | None = None
    reused: bool = False
    partial: bool = False
    cached_from: Origin | None = None
    artifacts: tuple[ArtifactView, ...] = ()
    waiting: Wait = NO_WAIT
    next_attempt_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    attempts: tuple[AttemptView, ...] = ()

    @property
    def child_run(self) -> str:
        """The run that its last attempt is, if it runs a workflow."""
        return self.attempts[-1].child_run if self.attempts else ""


@dataclass(frozen=True, slots=True)
class StepView:
    """One step; `tally` counts its items by status.

    `role` says when it has its turn: with the run (`main`), or after it (`on_failure`, `finally`); `partial`,
    that it completed although parts of it (items, steps of its workflow) failed. `agent` is what its agents
    are made with (`agent` of the plan, see `EventType.RUN_CREATED`); `changes` what it did to the shared
    state, by the event `finished_seq`.
    """

    id: str
    name: str
    type: str = "sequential"
    ordinal: int = 0
    depends_on: tuple[str, ...] = ()
    parent: str | None = None
    image: str = ""
    command: str = ""
    max_attempts: int = 0
    max_concurrency: int = 0
    conditional: bool = False
    role: str = "main"
    trigger: str = ""
    routes: tuple[RouteView, ...] = ()
    sub_workflow: str = ""
    cached: bool = False
    status: StepStatus = StepStatus.PENDING
    reason: str = ""
    error: str = ""
    result: Any = None
    exit_code: int | None = None
    reused: bool = False
    partial: bool = False
    cached_from: Origin | None = None
    artifacts: tuple[ArtifactView, ...] = ()
    waiting: Wait = NO_WAIT
    next_attempt_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    attempts: tuple[AttemptView, ...] = ()
    items: tuple[ItemView, ...] = ()
    workers: bool = False
    tally: Mapping[StepStatus, int] = field(default_factory=dict)
    agent: Mapping[str, Any] = field(default_factory=dict)
    item_alias: str = "item"
    changes: Mapping[str, Any] = field(default_factory=dict)
    finished_seq: int = 0

    @property
    def child_run(self) -> str:
        """The run that its last attempt is, if it runs a workflow."""
        return self.attempts[-1].child_run if self.attempts else ""

    @property
    def has_task(self) -> bool:
        """Whether an agent works for it: a gate, a delay or a decision needs none."""
        known = self.agent or self.image or self.command or self.attempts or self.items
        return bool(known) and not self.sub_workflow

    @property
    def is_gate(self) -> bool:
        """Whether it waits for the answer of a person."""
        return self.waiting.why == "approval"


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with everything below it, as of the event `seq`.

    `tally` counts its steps by status; `warnings` are texts with the step that they are about, if any;
    `queued` is why it has not started yet, `settled` what it is going to end as once its last steps are done;
    `env_files` names the variables that its env files set.
    """

    id: str
    workflow: str = ""
    path: str = ""
    digest: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    backend: str = ""
    source: str = ""
    retry_of: str = ""
    parent: Origin | None = None
    scheduled_for: float | None = None
    queued: str = ""
    settled: RunStatus | None = None
    status: RunStatus = RunStatus.PENDING
    reason: str = ""
    error: str = ""
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    steps: Mapping[str, StepView] = field(default_factory=dict)
    tally: Mapping[StepStatus, int] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[tuple[str | None, str], ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    env_files: tuple[str, ...] = ()
    recoveries: int = 0
    created_seq: int = 0
    seq: int = 0

    @property
    def begun_at(self) -> float | None:
        """Where its time axis starts."""
        return self.started_at if self.started_at is not None else self.created_at

    @property
    def done(self) -> int:
        """How many steps are over."""
        return sum(number for status, number in self.tally.items() if status.is_terminal)

    @property
    def gates(self) -> list[StepView]:
        """The steps that wait for the answer of a person."""
        if not self.tally.get(StepStatus.RUNNING):
            return []
        return [step for step in self.steps.values() if step.is_gate]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in a list; `seq` is the event that made it: newer runs have greater ones.

    `gates` is how many steps of it, or of runs that are part of it, wait for the answer of a person; `digest`
    is that of its document.
    """

    id: str
    workflow: str
    status: RunStatus
    seq: int = 0
    digest: str = ""
    reason: str = ""
    error: str = ""
    backend: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    retry_of: str = ""
    parent_run: str = ""
    is_scheduled: bool = False
    queued: str = ""
    gates: int = 0
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    done: int = 0
    total: int = 0


def row_of(view: RunView) -> RunRow:
    """The list row of a run that is known in full."""
    return RunRow(
        id=view.id,
        workflow=view.workflow,
        status=view.status,
        seq=view.created_seq,
        digest=view.digest,
        reason=view.reason,
        error=view.error,
        backend=view.backend,
        params=view.params,
        retry_of=view.retry_of,
        parent_run=view.parent.run_id if view.parent is not None else "",
        is_scheduled=view.scheduled_for is not None,
        queued=view.queued,
        gates=len(view.gates),
        created_at=view.created_at,
        started_at=view.started_at,
        finished_at=view.finished_at,
        done=view.done,
        total=len(view.steps),
    )


def row_of_record(record: RunRecord) -> RunRow:
    """The list row of a run as the history has it, without the number of its steps."""
    return RunRow(
        id=record.id,
        workflow=record.workflow,
        status=RunStatus(record.status),
        seq=record.seq,
        digest=record.digest,
        reason=record.reason or "",
        error=record.error or "",
        backend=record.backend,
        params=record.params,
        retry_of=record.retry_of or "",
        parent_run=record.parent.run_id if record.parent is not None else "",
        is_scheduled=record.scheduled_for is not None,
        queued=record.queued or "",
        created_at=seconds(record.created_at),
        started_at=seconds(record.started_at),
        finished_at=seconds(record.finished_at),
    )


def seconds(moment: str | datetime | None) -> float | None:
    """A stored time (ISO 8601 text or a datetime) as seconds since the epoch."""
    if moment is None or moment == "":
        return None
    return (parse_time(moment) if isinstance(moment, str) else moment).timestamp()


def elapsed(started: float | None, finished: float | None, now: float) -> float | None:
    """Seconds something took, or has taken so far; None before it starts."""
    if started is None:
        return None
    return max(0.0, (now if finished is None else finished) - started)
