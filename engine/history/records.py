"""What the history returns: frozen records of runs, steps, items and attempts.

`RunDetail.to_json()` is the document of `show --json` and `run --json` (design §7). Times are ISO 8601 UTC
text throughout, since that is how they are stored and shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

JSON = Any


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try of a step or item."""

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
    kept: bool = False

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
            "attempts": [attempt.to_json() for attempt in self.attempts],
        }


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of a run."""

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
    next_attempt_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
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
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "attempts": [attempt.to_json() for attempt in self.attempts],
            "items": [item.to_json() for item in self.items],
        }


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run, without its steps: what lists show."""

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
