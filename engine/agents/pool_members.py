"""What a pool keeps of its agents, and of the tasks that wait for one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from engine.agents.backend import AgentSpec
from engine.agents.warm import WarmAgent


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes agents alike.

    Attributes:
        digest: over everything that an agent has and a task does not bring along, but its image.
        image: as the steps name it.
        content: what that name means now.
        run_id: of the only run that it is of use to, if so.
    """

    digest: str
    image: str
    content: str
    run_id: str | None = None


@dataclass(eq=False)
class Member:
    """An agent of a pool.

    Attributes:
        state: where it stands; only `idle` ones are given to tasks.
        uses: tasks that it has been given.
        run_id: of the last task; what that run's tasks left is trusted by that run only.
        checked: its files were compared with the image's since its last task.
        idle_since: by the event loop's clock.
    """

    agent: WarmAgent
    kind: Kind
    spec: AgentSpec
    state: Literal["idle", "busy", "cleaning", "leaving"] = "idle"
    uses: int = 0
    run_id: str | None = None
    checked: bool = True
    idle_since: float = 0.0
    watch: asyncio.Task[None] | None = None


@dataclass(eq=False)
class Waiter:
    """A task that waits for an agent."""

    kind: Kind
    spec: AgentSpec
    turn: asyncio.Future[Member] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
