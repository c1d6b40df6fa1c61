"""What the State Manager promises: a run's shared state, a task's keys and its completion.

Redis is where containers see all this (contract §2-§3); `state.redis_store` is the real one,
`state.memory_store` serves the engine's tests under virtual time. One suite of tests runs over both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

JSON = Any
NO_COLLECTIONS: Mapping[str, str] = MappingProxyType({})

BACKSTOP_SECONDS = 5.0
"""After how long, at the latest, a result is noticed that nobody announced."""


class RedisAccess(StrEnum):
    """What a step's agents may do with Redis (contract §2)."""

    RUN = "run"
    OPEN = "open"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task as it stands at `task:{id}` (contract §2); `input` is JSON text."""

    task_id: str
    workflow_id: str
    step_id: str
    step_name: str
    task_type: str
    input: str
    created_at: str


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What a task left in Redis.

    Attributes:
        result: the raw text of its result key; None if there is none, or none that can be taken.
        error: the text of its error key, bounded.
        announced: `completed` or `error` as last published; None: nothing (yet), or a `completed` without a
            result, which is not believed: anyone in the run can publish.
        problem: why what it left cannot be taken (too long, not UTF-8, not a string), in a sentence.
    """

    result: str | None = None
    error: str | None = None
    announced: str | None = None
    problem: str | None = None

    def __bool__(self) -> bool:
        """Whether the task has left anything that ends the waiting for it."""
        return self.result is not None or self.error is not None or self.problem is not None


@dataclass(frozen=True, slots=True)
class StateChanges:
    """A difference between two readings of a run's state.

    `collections` tells which names of `set` are lists or sets of the tasks (`list`, `set`) and not fields.
    """

    set: Mapping[str, JSON] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    collections: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.set) or bool(self.removed)


class Completion(Protocol):
    """The announcement of one task, subscribed to before its agent exists."""

    async def wait(self) -> TaskOutcome:
        """Wait until the task has left a result or an error, announced or not.

        Pub/sub is only the wake-up: keys are read after the subscription stands, at every message, after
        every reconnect, and on a slow poll. Cancellable. Raises StateStoreError only when Redis stays
        away for good (its own deadline); the caller still has the agent's exit.
        """
        ...


class StateStore(Protocol):
    """Shared state, task keys and completions of all runs of one engine."""

    async def open(self, gateway: str | None = None) -> None:
        """Start or connect; `gateway` is an address of this machine that agents can reach, if any.

        Raises:
            UnavailableError: no Redis can be had; the message lists what was tried.
        """
        ...

    async def close(self) -> None:
        """Disconnect; a server of our own is shut down."""
        ...

    async def open_run(
        self,
        run_id: str,
        document: Mapping[str, JSON],
        state: Mapping[str, JSON],
        *,
        open_access: bool,
        collections: Mapping[str, str] = NO_COLLECTIONS,
    ) -> None:
        """Make the run's keys (document, state, `workflows:list`) and its ACL user. Repeatable.

        With `open_access` the default user may touch this run's keys without a password. `collections`
        says which names of `state` become a list or set of their own (`list`, `set`) instead of a field.
        Existing state fields are kept (recovery) unless the hash is missing, then `state` is written.
        """
        ...

    async def update_run(self, run_id: str, document: Mapping[str, JSON]) -> None:
        """Write `workflow:{id}` and publish the change on `workflow:updates`."""
        ...

    async def tell_metrics(
        self, run_id: str, report: Mapping[str, JSON], message: Mapping[str, JSON], *, last: bool
    ) -> None:
        """Write `metrics:workflow:{id}` and publish `message` on `metrics:events`.

        With `last` the run is over: the key is let expire (1 h).
        """
        ...

    async def close_run(self, run_id: str) -> None:
        """The run is over: drop its ACL user, let its keys expire (1 h)."""
        ...

    async def read_state(self, run_id: str) -> dict[str, JSON]:
        """The whole hash, each field decoded; a field that is not JSON is returned as its text.

        The lists and sets that tasks made (`workflow:{id}:state:list:{key}`, `…:set:{key}`) are under
        their key where the hash has no field of that name (lists in order, sets sorted).
        """
        ...

    def collections(self, run_id: str) -> dict[str, str]:
        """Which names of the state as last read are lists or sets of the tasks: `list` or `set` by name."""
        ...

    async def write_state(self, run_id: str, changes: StateChanges) -> None:
        """Set and remove fields of the hash (values as JSON).

        Those of `changes.set` that `changes.collections` names become a list or set of their own, instead of
        what stood there.
        """
        ...

    async def put_task(self, task: TaskRecord, agent: str) -> None:
        """Write `task:{id}`, append to `:tasks`/`:jobs`, write `agent:{aid}`; clear earlier result keys."""
        ...

    def completion(self, task_id: str, *, fresh: bool = False) -> AbstractAsyncContextManager[Completion]:
        """Subscribe to one task's completion. Entered before the agent is created, left when done.

        `fresh`: the task begins only then, so nothing that it left needs to be looked for before it tells.
        """
        ...

    async def read_outcome(self, task_id: str) -> TaskOutcome:
        """The task's result and error keys now."""
        ...

    async def announce(self, task_id: str, *, result: str | None, error: str | None) -> None:
        """Publish a task's completion, writing the keys that the task did not write itself.

        Also published on the literal channel `task:*:complete`. `result` is JSON text. The task is over: its
        keys live for another hour, its input only where it is small (`keys.SMALL_INPUT`), since every item of
        a map has the whole state in it.
        """
        ...

    async def forget_agent(self, run_id: str, agent: str) -> None:
        """Drop the keys of an agent that is gone."""
        ...

    def environment(self, run_id: str, access: RedisAccess, *, containerised: bool) -> dict[str, str]:
        """`REDIS_HOST`, `REDIS_PORT`, `REDIS_URL`, `REDIS_USERNAME`, `REDIS_PASSWORD` for a task."""
        ...

    def connection_url(self) -> str:
        """The URL a person uses with `redis-cli -u`, for `doctor`."""
        ...

    def describe(self) -> str:
        """One line for the header and `doctor`: which server, which version, whose."""
        ...

    def outages(self) -> AsyncIterator[bool]:
        """Yields False when the connection is lost and True when it is back."""
        ...
