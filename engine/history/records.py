"""What the history returns: frozen records of runs, steps, items and attempts.

`RunDetail.to_json()` is the document of `show --json` and `run --json` (design §7). Times are ISO 8601 UTC
text throughout, since that is how they are stored and shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

JSON = Any


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try of a step or item.

    `pool`, `placement`, `phases` and `usage` are as in the events of attempts (`engine.events`).
    """

    run_id: str
    step_id: str
    item: int | None
    number: int
    status: str
    task_id: str
    agent: str
    backend: str
    log: str
    reason: str | None = None
    exit_code: int | None = None
    error: str | None = None
    agent_id: str | None = None
    image: str | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    duration: float | None = None
    kept: bool = False
    child_run: str | None = None
    pool: str | None = None
    placement: dict[str, JSON] | None = None
    phases: dict[str, float] | None = None
    usage: dict[str, JSON] | None = None

    def to_json(self) -> dict[str, JSON]:
        """The attempt as `show --json` prints it."""
        return {
            "number": self.number,
            "status": self.status,
            "reason": self.reason,
            "exit_code": self.exit_code,
            "error": self.error,
            "agent": self.agent,
            "task_id": self.task_id,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "child_run": self.child_run,
            "pool": self.pool,
            "placement": self.placement,
            "phases": self.phases,
            "usage": self.usage,
        }


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """One element of a map step, or one worker of a parallel step."""

    run_id: str
    step_id: str
    index: int
    value: JSON
    status: str
    reason: str | None = None
    error: str | None = None
    result: JSON = None
    exit_code: int | None = None
    next_attempt_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    duration: float | None = None
    reused: bool = False
    partial: bool = False
    artifacts: tuple[dict[str, JSON], ...] = ()
    cached_from: dict[str, JSON] | None = None
    attempts: tuple[AttemptRecord, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """The item as `show --json` prints it."""
        return {
            "index": self.index,
            "value": self.value,
            "status": self.status,
            "reason": self.reason,
            "error": self.error,
            "result": self.result,
            "reused": self.reused,
            "cached_from": self.cached_from,
            "artifacts": list(self.artifacts),
            "attempts": [attempt.to_json() for attempt in self.attempts],
        }


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of a run.

    Attributes:
        role: `main`, `on_failure` or `finally`.
        partial: completed, though parts of it failed that nobody said may fail.
        routes: of a decision or branch: `[{label, targets, workflow?}]`.
        waiting: what it waits for now: the data of its `step.waiting`, and `since`.
        artifacts: `[{name, size}]`.
        cached_from: where a reused result was remembered from: `{run_id, step_id, item?}`.
    """

    run_id: str
    id: str
    name: str
    type: str
    ordinal: int
    status: str
    depends_on: tuple[str, ...] = ()
    parent: str | None = None
    reason: str | None = None
    error: str | None = None
    result: JSON = None
    exit_code: int | None = None
    reused: bool = False
    partial: bool = False
    next_attempt_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    duration: float | None = None
    image: str | None = None
    command: JSON = None
    workers: int | None = None
    max_concurrency: int | None = None
    role: str = "main"
    trigger: str | None = None
    routes: JSON = None
    sub_workflow: str | None = None
    waiting: dict[str, JSON] | None = None
    artifacts: tuple[dict[str, JSON], ...] = ()
    cached_from: dict[str, JSON] | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    items: tuple[ItemRecord, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """The step as `show --json` prints it."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "status": self.status,
            "reason": self.reason,
            "error": self.error,
            "result": self.result,
            "reused": self.reused,
            "cached_from": self.cached_from,
            "role": self.role,
            "depends_on": list(self.depends_on),
            "trigger": self.trigger,
            "routes": self.routes,
            "sub_workflow": self.sub_workflow,
            "waiting": self.waiting,
            "artifacts": list(self.artifacts),
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "attempts": [attempt.to_json() for attempt in self.attempts],
            "items": [item.to_json() for item in self.items],
        }


@dataclass(frozen=True, slots=True)
class ParentRecord:
    """The attempt of another run whose sub-workflow a run is; `way` is the choice of a branch."""

    run_id: str
    step_id: str
    attempt: int
    item: int | None = None
    way: str | None = None

    def to_json(self) -> dict[str, JSON]:
        """The link as `show --json` prints it."""
        return {"run_id": self.run_id, "step_id": self.step_id, "item": self.item, "attempt": self.attempt}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run, without its steps: what lists show.

    Attributes:
        seq: the number of its first event.
        parent: whose sub-workflow it is, None for a run of its own.
        scheduled_for: the time of the schedule that started it.
        queued: why it waits before its start.
        settled: what its own steps came to, once they have ended and handler steps have their turn.
    """

    id: str
    workflow: str
    digest: str
    status: str
    backend: str
    reason: str | None = None
    error: str | None = None
    path: str | None = None
    params: dict[str, JSON] = field(default_factory=dict)
    retry_of: str | None = None
    recoveries: int = 0
    created_at: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    duration: float | None = None
    retries: int = 0
    source: str | None = None
    retry_scope: JSON = None
    settled: dict[str, JSON] | None = None
    seq: int = 0
    parent: ParentRecord | None = None
    scheduled_for: str | None = None
    no_cache: bool = False
    queued: str | None = None

    def to_json(self) -> dict[str, JSON]:
        """The run as `history --json` prints it."""
        return {
            "id": self.id,
            "workflow": self.workflow,
            "status": self.status,
            "reason": self.reason,
            "error": self.error,
            "backend": self.backend,
            "params": self.params,
            "retry_of": self.retry_of,
            "parent": self.parent.to_json() if self.parent else None,
            "scheduled_for": self.scheduled_for,
            "queued": self.queued,
            "settled": self.settled,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
        }


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with everything below it; `state` is the shared state as of its last event."""

    run: RunRecord
    state: dict[str, JSON]
    steps: tuple[StepRecord, ...]

    def to_json(self) -> dict[str, JSON]:
        """The document of `show --json`."""
        return {
            "run": {**self.run.to_json(), "state": self.state},
            "steps": [step.to_json() for step in self.steps],
        }


@dataclass(frozen=True, slots=True)
class Remembered:
    """A result of earlier work, found again by its cache key; `changes` is as in the finishing event."""

    run_id: str
    step_id: str
    item: int | None
    result: JSON
    exit_code: int | None
    changes: dict[str, JSON] | None
    artifacts: tuple[dict[str, JSON], ...]
    finished_at: str


@dataclass(frozen=True, slots=True)
class StateChange:
    """What one finished step did to the shared state, as of event `seq`.

    `collections` tells which names of `set` are lists or sets that tasks made beside the fields.
    """

    seq: int
    step_id: str
    set: dict[str, JSON] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    collections: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are wanted; all conditions together.

    Attributes:
        text: words that must all be found in the workflow's name, the id, the error or the params; capitals
            do not matter, and a word after `!` must not be found.
        workflow: only its runs.
        statuses: only runs in one of these; empty for any.
        since: only runs that were created from then on.
        children: whether runs that are part of others are wanted too.
    """

    text: str = ""
    workflow: str | None = None
    statuses: tuple[str, ...] = ()
    since: datetime | None = None
    children: bool = False


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run in the list.

    Attributes:
        run: it.
        steps: how many it has.
        completed: how many of them are completed; None where nobody counted that many.
        retried_by: its newest retry, and `retried_status` that one's status.
        children: runs that are part of it.
        usual: the median duration of the newest runs of its workflow that ended well.
    """

    run: RunRecord
    steps: int = 0
    completed: int | None = None
    retried_by: str | None = None
    retried_status: str | None = None
    children: int = 0
    usual: float | None = None


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, newest first.

    Attributes:
        runs: them; there may be none although there are more to look at.
        before: what to ask with for the next page; None: there is nothing more.
        looked_at: when the oldest run that was looked at was created.
    """

    runs: tuple[ListedRun, ...] = ()
    before: int | None = None
    looked_at: str | None = None
