"""What a run needs of the engine around it, beside its `Services`: child runs, results of earlier work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from engine.history.records import Remembered, RunDetail
from engine.workflows.plan import Plan

# A result remembered under a key, unless it is older than so many seconds (None: whatever its age).
Recall = Callable[[str, float | None], Awaitable[Remembered | None]]


@dataclass(frozen=True, slots=True)
class ParentLink:
    """The attempt of a step (or of an item of it) whose sub-workflow a run is; `way` is that of a branch."""

    run_id: str
    step_id: str
    item: int | None
    attempt: int
    way: str | None = None


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child run to be seen through.

    Attributes:
        run_id: its id, made from the parent's attempt (`naming.child_run_id`), so never made twice.
        plan: what it runs.
        parent: whose it is.
        params: given params, checked already.
        state: the state it begins with, beside its params.
        retry_of: a finished run of the same workflow whose completed steps it takes over, if any.
    """

    run_id: str
    plan: Plan
    parent: ParentLink
    params: Mapping[str, Any]
    state: Mapping[str, Any]
    retry_of: str | None = None


class ChildRuns(Protocol):
    """Runs child runs."""

    async def see_through(self, spec: ChildSpec) -> RunDetail:
        """Start the child, or go on with it where it exists already; returns it when it has ended.

        A cancellation of the caller cancels the child and gets through when that has ended.

        Raises:
            DocumentError: it cannot run here.
        """
        ...

    async def initial_state(self, run_id: str) -> dict[str, Any]:
        """The state that a child began with."""
        ...

    async def way_of(self, run_id: str) -> str | None:
        """Which way of a branch a child run belongs to; None where there is no such run."""
        ...

    async def end(self, run_id: str) -> None:
        """Cancel a child that an interrupted engine left and its parent does not go on with, to its end.

        Does nothing where there is no such run, or it has ended.
        """
        ...


class Metering(Protocol):
    """Is told when runs begin and end, for live metrics. No call here raises or waits."""

    def begin(self, run_id: str) -> None:
        """A run is live and known to Redis."""
        ...

    def end(self, run_id: str) -> None:
        """The end of a run is in the history."""
        ...


class NoMetering:
    """A `Metering` that tells nobody."""

    def begin(self, run_id: str) -> None:
        """Do nothing."""

    def end(self, run_id: str) -> None:
        """Do nothing."""


async def nothing_remembered(key: str, max_age: float | None) -> Remembered | None:
    """A `Recall` that knows nothing."""
    return None
