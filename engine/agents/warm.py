"""Warm agents: what a pool asks of one, and of whoever makes them."""

from __future__ import annotations

import asyncio
from typing import Literal, Protocol

from engine.agents.backend import AgentSpec, Exit, LogSink


class UnfitError(Exception):
    """A task cannot be run by a warm agent as it would run by itself; the text says why."""


class DiedError(Exception):
    """A warm agent ended while it had a task. `end` is how, as far as that is known."""

    def __init__(self, end: Exit) -> None:
        super().__init__("the warm agent ended while it ran the task")
        self.end = end


class WarmAgent(Protocol):
    """A container that takes one task after the other.

    Attributes:
        name: of the container.
        agent_id: the backend's own id for it.
        mode: how it runs tasks, as in `Placement`.
        spent: CPU seconds of its tasks so far, as far as it knows them.
        ended: set when it is gone, whether or not it had a task.
        unusable: set then, too, and when its image's own health check says that it is unhealthy.
    """

    name: str
    agent_id: str
    mode: Literal["shell", "exec"]
    spent: float
    ended: asyncio.Event
    unusable: asyncio.Event

    async def begin(self, spec: AgentSpec, sink: LogSink) -> None:
        """Hand it a task, whose output goes into `sink`.

        Raises:
            UnfitError: it cannot run that task as it should be run; the agent is as good as before.
            DiedError: it is gone.
        """
        ...

    async def wait(self) -> Exit:
        """The end of the task, once all of its output has been delivered; may be asked repeatedly.

        Raises:
            UnfitError: the task could not be begun after all, and has not run.
            DiedError: the agent ended first.
        """
        ...

    async def stop(self, grace: float) -> None:
        """Ask the task to end, wait `grace` seconds, insist: then the agent is gone, too."""
        ...

    async def kill(self) -> None:
        """End the task, and the agent, now."""
        ...

    async def clean(self) -> str:
        """Remove what the task left; returns why that could not be done, "" if it is clean."""
        ...

    async def check(self) -> str:
        """Compare its files with those of its image; returns what a task has changed, "" if nothing."""
        ...

    async def keep(self, name: str) -> None:
        """It stays as it is, under another name, and is no warm agent any more.

        Raises:
            BackendError: it cannot be had.
        """
        ...

    async def discard(self) -> None:
        """Remove it.

        Raises:
            BackendError: it could not be removed.
        """
        ...


class WarmMaker(Protocol):
    """Makes warm agents."""

    async def make(self, spec: AgentSpec, name: str) -> WarmAgent:
        """A ready agent for tasks like that of `spec`, whose image is given by its digest.

        Cancelling it leaves nothing behind.

        Raises:
            UnfitError: no agent of that image can serve tasks.
            BackendError: it cannot be made, or not now.
        """
        ...
