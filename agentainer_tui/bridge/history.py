"""The history as a whole: its list of runs, figures over periods, profiles of runs, and letting runs go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from agentainer_tui.bridge.link import EngineLink
from agentainer_tui.client import HistoryPage
from agentainer_tui.history_rows import row_of_listed

if TYPE_CHECKING:
    from engine.facade import Insight, Reader, RunFilter
    from engine.profiling import Profile

Result = TypeVar("Result")


class History(EngineLink):
    """Reads about many runs; deletes those that are named."""

    async def list_runs(self, wanted: RunFilter, *, limit: int, before: int | None) -> HistoryPage:
        """A page of the runs that are wanted."""
        page = await self._call(self._engine.history.list_runs(wanted, limit=limit, before=before))
        return HistoryPage(tuple(map(row_of_listed, page.runs)), page.before, page.looked_at or "")

    async def count_runs(self) -> int:
        """How many runs there are that are not part of others."""
        return await self._call(self._engine.history.count_own_runs())

    async def figures(self, workflow: str | None, since: datetime | None, *, details: bool) -> Insight:
        """Figures over a period."""
        from engine.facade import insight

        return await self._aside(
            lambda history: insight(history, workflow=workflow, since=since, details=details)
        )

    async def profile(self, run_id: str) -> Profile:
        """Where the time of a run went."""
        from engine.profiling import profile_run

        return await self._aside(lambda history: profile_run(history, run_id, self._settings))

    async def disk_use(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        """Bytes of logs and artifacts of each run."""
        from engine.upkeep import disk_use

        return await asyncio.to_thread(lambda: asyncio.run(disk_use(self._settings, list(run_ids))))

    async def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Delete runs that are over."""
        await self._call(self._engine.delete_runs(list(run_ids)))

    async def _aside(self, ask: Callable[[Reader], Awaitable[Result]]) -> Result:
        """Ask the history on a thread, loop and connection of its own: what takes long holds up no run."""
        from engine.facade import open_history

        async def read() -> Result:
            async with open_history(self._settings) as history:
                return await ask(history)

        return await asyncio.to_thread(lambda: asyncio.run(read()))
