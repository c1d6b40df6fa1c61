"""The part of the scripted port that is about agents, shells and failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from agentainer_tui.views import RunRow
from engine.agents.backend import AgentInfo, Sample
from engine.agents.shells import Shell
from engine.errors import UsageError
from engine.facade import KeptAgent, Roster
from engine.inventory import Orphan


class FakeAgents:
    """`at_work` and `lost` are what the engine finds; `use` lets a running agent use something."""

    _rows: Callable[[], list[RunRow]]
    _do: Callable[..., None]

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[KeptAgent] = []
        self.at_work: list[AgentInfo] = []
        self.lost: list[Orphan] = []
        self.untold: list[str] = []
        self.shells: dict[str, Shell] = {}
        self.watched: set[str] = set()
        self._samples: dict[str, asyncio.Queue[Sample]] = {}

    def use(self, agent: str, *samples: Sample) -> None:
        """Let an agent use something, for whoever watches it."""
        for sample in samples:
            self._queue(agent).put_nowait(sample)

    def _queue(self, agent: str) -> asyncio.Queue[Sample]:
        return self._samples.setdefault(agent, asyncio.Queue())

    async def roster(self) -> Roster:
        self._do("roster")
        return Roster(tuple(self.at_work), tuple(self.kept))

    async def samples(self, agent: str) -> AsyncGenerator[Sequence[Sample], None]:
        self.watched.add(agent)
        try:
            while True:
                yield [await self._queue(agent).get()]
        finally:
            self.watched.discard(agent)

    async def orphans(self) -> tuple[tuple[Orphan, ...], tuple[str, ...]]:
        self._do("orphans")
        return tuple(self.lost), tuple(self.untold)

    async def remove_orphans(self, names: Sequence[str]) -> tuple[str, ...]:
        self._do("remove_orphans", tuple(names))
        self.lost = [orphan for orphan in self.lost if orphan.agent.name not in names]
        return tuple(names)

    async def open_shell(self, agent: str) -> Shell:
        self._do("open_shell", agent)
        if agent not in self.shells:
            raise UsageError(f"{agent} is gone: there is nothing to enter")
        return self.shells[agent]

    async def close_shell(self, shell: Shell) -> None:
        self._do("close_shell", shell.agent)

    async def last_completed(self, workflow: str, before: int) -> RunRow | None:
        found: list[Any] = [
            row
            for row in self._rows()
            if row.workflow == workflow and row.seq < before and row.status == "completed"
        ]
        return found[0] if found else None
