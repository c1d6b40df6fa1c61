"""The real port: the engine on a thread and an event loop of its own.

Neither loop ever waits for the other: a slow screen (or one that gave the terminal to an editor) does not
hold up a run, and a busy engine does not hold up a key. Calls cross with `run_coroutine_threadsafe`, streams
through a bounded buffer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agentainer_tui.client import (
    AttemptKey,
    EngineFacts,
    RetryScope,
    Snapshot,
    WorkflowEntry,
)
from agentainer_tui.engine_logs import FileLog
from agentainer_tui.stream import Stream
from agentainer_tui.views import RunRow, row_of_record
from engine.errors import UnavailableError, UsageError
from engine.events import Event, EventType

if TYPE_CHECKING:
    from engine.facade import Engine, KeptAgent
    from engine.inventory import PoolReport
    from engine.settings import Settings
    from engine.upkeep import CatalogEntry

Result = TypeVar("Result")


class EngineClient:
    """Starts its thread at `open`; `shutdown` closes the engine and ends the thread."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._directory = directory
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="engine", daemon=True)
        self._opened: Engine | None = None
        self._committed: Callable[[], AsyncIterator[Event]] | None = None

    # -- life -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the engine."""
        self._thread.start()
        await self._call(self._open())

    async def _open(self) -> None:
        from engine.facade import Engine

        self._opened = await Engine.open(self._settings, directory=self._directory)

    async def close(self) -> None:
        """Close the engine; runs in progress are cancelled and waited for."""
        await asyncio.to_thread(self.shutdown)

    def shutdown(self) -> None:
        """As `close`, for where no loop runs any more. Repeatable."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _close(self) -> None:
        engine, self._opened = self._opened, None
        mine = asyncio.current_task()
        if engine is not None:
            await engine.close()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work` on the engine's loop, and wait for it here."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    @property
    def _engine(self) -> Engine:
        if self._opened is None:
            raise UnavailableError("the engine is not open")
        return self._opened

    # -- reading --------------------------------------------------------------------------------------

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
        last = await engine.history.last_runs_by_workflow(1)
        return Snapshot(
            facts=_facts(engine),
            workflows=self._entries(),
            runs=tuple(runs),
            last_runs=tuple(row_of_record(run) for found in last.values() for run in found),
            live=tuple(live),
        )

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
            yield self._entries()

    def _entries(self) -> tuple[WorkflowEntry, ...]:
        catalog = self._engine.catalog
        return tuple(map(_entry, catalog.entries)) if catalog is not None else ()

    async def runs(self, *, limit: int, before: int | None, workflow: str | None) -> tuple[RunRow, ...]:
        """A page of the history."""
        history = self._engine.history
        found = await self._call(history.runs(limit=limit, before=before, workflow=workflow, children=False))
        return tuple(map(row_of_record, found))

    async def run_events(self, run_id: str, *, after: int, limit: int) -> tuple[Event, ...]:
        """A page of a run's events."""
        return tuple(await self._call(self._engine.history.events(run_id, after=after, limit=limit)))

    async def pools(self) -> tuple[PoolReport, ...]:
        """The warm pools as they are at this moment."""

        async def reports() -> tuple[PoolReport, ...]:
            return tuple(self._engine.pools())

        return await self._call(reports())

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

    # -- commands -------------------------------------------------------------------------------------

    async def run(self, path: str, params: Mapping[str, Any]) -> str:
        """Start the workflow of a file."""
        catalog = self._engine.catalog
        entries = catalog.entries if catalog is not None else ()
        plan = next((entry.plan for entry in entries if str(entry.path) == path), None)
        if plan is None:
            raise UsageError(f"{path} has no version that can be run")
        return await self._call(self._engine.start_run(plan, params, source="dashboard"))

    async def retry(self, run_id: str, scope: RetryScope) -> str:
        """Run it again as a new run."""
        return await self._call(
            self._engine.retry(
                run_id,
                from_step=scope.from_step,
                only_step=scope.only_step,
                failed=scope.failed,
                source="dashboard",
            )
        )

    async def cancel(self, run_id: str, *, hurry: bool = False) -> None:
        """Cancel a run."""
        await self._call(self._engine.cancel(run_id, by="dashboard", hurry=hurry))

    async def answer_gate(self, run_id: str, step_id: str, *, approved: bool, comment: str) -> None:
        """Answer an approval step."""
        answer = self._engine.approve if approved else self._engine.reject
        await self._call(answer(run_id, step_id, by="dashboard", comment=comment))

    async def kept_agents(self, run_id: str | None = None) -> tuple[KeptAgent, ...]:
        """Agents that were kept and still exist."""
        return tuple(await self._call(self._engine.kept_agents(run_id)))

    async def cleanup(self, names: Sequence[str]) -> tuple[str, ...]:
        """Remove exactly these kept agents."""
        return tuple(await self._call(self._engine.cleanup(list(names))))


def _facts(engine: Engine) -> EngineFacts:
    facts = engine.facts
    name = "local processes" if facts.name == "process" else f"{facts.name} {facts.version}".strip()
    # Where the server listens is for `doctor`; the header has no room for it.
    store = engine.store_description.partition(", at ")[0]
    return EngineFacts(name, store, tuple(engine.notes or facts.notes))


def _entry(entry: CatalogEntry) -> WorkflowEntry:
    plan = entry.plan
    return WorkflowEntry(
        path=str(entry.path),
        name=entry.name,
        description=plan.description if plan is not None else "",
        steps=tuple(step.name for step in plan.steps.values()) if plan is not None else (),
        params=tuple(plan.params.values()) if plan is not None else (),
        problems=entry.problems,
        runnable=plan is not None,
    )
