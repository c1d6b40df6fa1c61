"""Watches what running agents use: one stream for each that is wanted, none for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from agentainer_tui.loads import Meter
from agentainer_tui.step_rows import RowKey
from engine.errors import AgentainerError

if TYPE_CHECKING:
    from engine.inventory import Sample


class UsageWatch:
    """Keeps a stream open for every agent that is on screen.

    Args:
        samples: opens the stream of an agent.
        tell: takes what a row's agent uses, whenever that is known better.
    """

    def __init__(
        self,
        samples: Callable[[str], AsyncGenerator[Sequence[Sample], None]],
        tell: Callable[[RowKey, Meter], None],
    ) -> None:
        self._samples = samples
        self._tell = tell
        self._tasks: dict[tuple[RowKey, str], asyncio.Task[None]] = {}

    def watch(self, wanted: Mapping[RowKey, str]) -> None:
        """Watch exactly these agents, by the rows that show them."""
        pairs = set(wanted.items())
        for pair in [pair for pair in self._tasks if pair not in pairs]:
            self._tasks.pop(pair).cancel()
        for pair in pairs:
            if pair not in self._tasks:
                self._tasks[pair] = asyncio.create_task(self._follow(*pair), name=f"usage of {pair[1]}")

    async def _follow(self, key: RowKey, agent: str) -> None:
        meter = Meter()
        with suppress(AgentainerError):  # it has ended meanwhile, or cannot be looked into
            async with aclosing(self._samples(agent)) as batches:
                async for batch in batches:
                    for sample in batch:
                        meter.take(sample)
                    self._tell(key, meter)
