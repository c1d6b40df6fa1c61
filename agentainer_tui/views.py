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

    `created_seq` is the event that made it: the shared state as of that event is what it was given.
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
    waiting: str = ""
    waiting_detail: str = ""
    next_attempt_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    attempts: tuple[AttemptView, ...] = ()


@dataclass(frozen=True, slots=True)
class StepView:
    """One step; `tally` counts its items by status."""

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
    status: StepStatus = StepStatus.PENDING
    reason: str = ""
    error: str = ""
    result: Any = None
    exit_code: int | None = None
    reused: bool = False
    waiting: str = ""
    waiting_detail: str = ""
    next_attempt_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    attempts: tuple[AttemptView, ...] = ()
    items: tuple[ItemView, ...] = ()
    workers: bool = False
    tally: Mapping[StepStatus, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with everything below it, as of the event `seq`.

    `tally` counts its steps by status; `warnings` are texts with the step that they are about, if any.
    """

    id: str
    workflow: str = ""
    path: str = ""
    digest: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    backend: str = ""
    source: str = ""
    retry_of: str = ""
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


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in a list; `seq` is the event that made it: newer runs have greater ones."""

    id: str
    workflow: str
    status: RunStatus
    seq: int = 0
    reason: str = ""
    error: str = ""
    backend: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    retry_of: str = ""
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
        reason=view.reason,
        error=view.error,
        backend=view.backend,
        params=view.params,
        retry_of=view.retry_of,
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
        reason=record.reason or "",
        error=record.error or "",
        backend=record.backend,
        params=record.params,
        retry_of=record.retry_of or "",
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
