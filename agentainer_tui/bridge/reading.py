"""What the screens read: the first snapshot, what was committed since, pages of the history, logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentainer_tui.bridge.editing import Editing
from agentainer_tui.bridge.logs import FileLog
from agentainer_tui.bridge.stream import Stream
from agentainer_tui.client import RECENT, AttemptKey, EngineFacts, Snapshot, WorkflowEntry
from agentainer_tui.views import RunRow, row_of_record
from engine.events import Event, EventType

if TYPE_CHECKING:
    from engine.facade import Engine


class Reading(Editing):
    """Reads; changes nothing."""

    _committed: Callable[[], AsyncIterator[Event]] | None = None

    async def snapshot(self, *, page: int) -> Snapshot:
        """Everything the first screen shows; what is committed from here on comes from `events`."""
        return await self._call(self._begin(page))

    async def _begin(self, page: int) -> Snapshot:
        engine = self._engine
        subscription = engine.subscribe()  # before reading: nothing falls between the two

        async def committed() -> AsyncIterator[Event]:
            async with subscription:
                async for event in subscription:
                    yield event

        self._committed = committed
        runs = [row_of_record(run) for run in await engine.history.runs(limit=page, children=False)]
        live = [row_of_record(run) for run in await engine.history.unfinished()]
        last = await engine.history.last_runs_by_workflow(RECENT)
        return Snapshot(
            facts=_facts(engine),
            workflows=await self._entries(),
            runs=tuple(runs),
            last_runs=tuple(row_of_record(run) for found in last.values() for run in found),
            live=tuple(live),
        )

    def slots(self) -> tuple[int, int]:
        """Tasks that run now, and how many may."""
        engine = self._opened
        return (engine.tasks if engine is not None else 0), self._settings.max_tasks

    async def events(self) -> AsyncIterator[Sequence[Event]]:
        """What was committed since the snapshot."""
        if self._committed is not None:
            async for batch in Stream(self._loop, self._committed).batches():
                yield batch

    async def workflow_changes(self) -> AsyncIterator[tuple[WorkflowEntry, ...]]:
        """All entries, whenever the directory has changed."""
        catalog = self._engine.catalog
        if catalog is None:
            return
        stream = Stream(self._loop, catalog.changes)
        async for _ in stream.batches():
            yield await self._entries()

    async def _entries(self) -> tuple[WorkflowEntry, ...]:
        catalog = self._engine.catalog
        entries = catalog.entries if catalog is not None else ()
        return await asyncio.to_thread(self._versions.take, entries)

    async def runs(self, *, limit: int, before: int | None, workflow: str | None) -> tuple[RunRow, ...]:
        """A page of the history."""
        history = self._engine.history
        found = await self._call(history.runs(limit=limit, before=before, workflow=workflow, children=False))
        return tuple(map(row_of_record, found))

    async def run_events(
        self, run_id: str, *, after: int, limit: int, step_id: str | None = None, item: int | None = None
    ) -> tuple[Event, ...]:
        """A page of a run's events."""
        history = self._engine.history
        return tuple(
            await self._call(history.events(run_id, after=after, limit=limit, step_id=step_id, item=item))
        )

    async def state_at(self, run_id: str, seq: int) -> Mapping[str, Any]:
        """The run's shared state as of an event."""
        return await self._call(self._engine.history.state_at(run_id, seq))

    def log(self, attempt: AttemptKey) -> FileLog:
        """An attempt's log: lines by number, also while it grows."""
        from engine.upkeep import open_log_index

        async def until_ended() -> None:
            await self._call(self._until_ended(attempt))

        return FileLog(open_log_index(self._settings, attempt.log), until_ended)

    async def _until_ended(self, attempt: AttemptKey) -> None:
        """Wait until the attempt is over."""
        where = (attempt.step_id, attempt.item, attempt.number)
        async with self._engine.subscribe(run_id=attempt.run_id) as events:
            records = await self._engine.history.attempts(attempt.run_id, attempt.step_id, attempt.item)
            if any(one.number == attempt.number and one.finished_at for one in records):
                return
            async for event in events:
                if event.type is EventType.RUN_FINISHED or (
                    event.type is EventType.ATTEMPT_FINISHED
                    and (event.step_id, event.item, event.attempt) == where
                ):
                    return


def _facts(engine: Engine) -> EngineFacts:
    facts = engine.facts
    name = "local processes" if facts.name == "process" else f"{facts.name} {facts.version}".strip()
    # Where the server listens is for `doctor`; the header has no room for it.
    store = engine.store_description.partition(", at ")[0]
    return EngineFacts(name, store, tuple(engine.notes or facts.notes))
