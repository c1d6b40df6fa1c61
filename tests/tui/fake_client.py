"""The port, scripted: tests tell it what the engine would say, and read what it was asked to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from agentainer_tui.client import (
    AttemptKey,
    EngineFacts,
    RetryScope,
    Snapshot,
    WorkflowEntry,
)
from agentainer_tui.estimate import NOTHING_USUAL, Usual
from agentainer_tui.log_source import Extent, LogLine, Stretch
from agentainer_tui.model import reduce_all
from agentainer_tui.views import RunRow, row_of
from engine.agents.backend import PoolReport
from engine.errors import AgentainerError
from engine.events import Event, EventType
from engine.facade import KeptAgent
from tests.tui.fake_agents import FakeAgents
from tests.tui.fake_editing import FakeEditing
from tests.tui.fake_files import FakeFiles
from tests.tui.fake_history import FakeHistory
from tests.tui.story import Story

COMMANDS = (
    *("run", "retry", "cancel", "cleanup", "answer_gate", "delete_runs", "export_run"),
    *("open_shell", "remove_orphans", "create_workflow"),
)
FACTS = EngineFacts("local processes", "redis 7.0 of our own")


class FakeLog:
    """A log in memory; pieces of a line come after it until the line is whole."""

    def __init__(self, lines: Sequence[LogLine] = ()) -> None:
        self._lines: list[LogLine] = []
        self._open: dict[str, LogLine] = {}
        self._over = False
        self._news = asyncio.Condition()
        self._pending: set[asyncio.Task[None]] = set()
        self._join(lines)

    def write(self, lines: Sequence[LogLine]) -> None:
        self._join(lines)
        self._tell()

    def end(self) -> None:
        self._over = True
        self._tell()

    def _join(self, lines: Sequence[LogLine]) -> None:
        for line in lines:
            begun = self._open.pop(line.stream, None)
            whole = line if begun is None else line._replace(time=begun.time, text=begun.text + line.text)
            if line.partial:
                self._open[line.stream] = whole
            else:
                self._lines.append(whole)

    def _tell(self) -> None:
        task = asyncio.ensure_future(self._notify())
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    @property
    def extent(self) -> Extent:
        return Extent(0, len(self._lines), len(self._open), over=self._over)

    async def watch(self) -> AsyncIterator[Extent]:
        shown: list[LogLine] | None = None
        while True:
            now = [*self._lines, *self._open.values()]
            if shown != now or self._over:
                shown = now
                yield self.extent
            if self._over:
                return
            async with self._news:
                if shown == [*self._lines, *self._open.values()] and not self._over:
                    await self._news.wait()

    async def lines(self, numbers: Sequence[int]) -> dict[int, LogLine]:
        known = [*self._lines, *self._open.values()]
        return {number: known[number] for number in numbers if 0 <= number < len(known)}

    async def stretch(self, number: int, needle: object) -> Stretch | None:
        if not 0 <= number < len(self._lines):
            return None
        first = number // 100 * 100
        part = self._lines[first : first + 100]
        return Stretch(first, first + len(part), part)

    async def close(self) -> None:
        pass


class FakeClient(FakeAgents, FakeFiles, FakeHistory, FakeEditing):
    """`calls` holds every command, `refuse` the error that the next one meets."""

    def __init__(
        self,
        workflows: Sequence[WorkflowEntry] = (),
        stories: Sequence[Story] = (),
        *,
        facts: EngineFacts = FACTS,
        broken: AgentainerError | None = None,
    ) -> None:
        super().__init__()
        self.workflows = tuple(workflows)
        self.facts = facts
        self.broken = broken
        self.calls: list[tuple[Any, ...]] = []
        self.refuse: Exception | None = None
        self.reports: list[PoolReport] = []
        self.agents: dict[str, Mapping[str, Any]] = {}
        self.logs: dict[tuple[str, int | None, int], FakeLog] = {}
        self.journal: list[Event] = []
        self.usually = NOTHING_USUAL
        self.started = "feedfacecafe"
        self.busy = 0
        self.digest = ""
        self.given: dict[str, Any] = {}
        self._live: asyncio.Queue[Sequence[Event]] = asyncio.Queue()
        self._saves: asyncio.Queue[tuple[WorkflowEntry, ...]] = asyncio.Queue()
        for story in stories:
            self.journal += story.events

    # -- what tests do --------------------------------------------------------------------------------

    def tell(self, *stories: Story) -> None:
        """Let the engine commit what the stories have told since the last time."""
        known = {(event.run_id, event.seq) for event in self.journal}
        new = [e for story in stories for e in story.events if (e.run_id, e.seq) not in known]
        self.journal += new
        self._live.put_nowait(new)

    def save(self, *workflows: WorkflowEntry) -> None:
        """Let the watched directory change."""
        self.workflows = workflows
        self._saves.put_nowait(workflows)

    def write_log(
        self, step: str, lines: Sequence[LogLine], number: int = 1, item: int | None = None
    ) -> None:
        """Let an attempt write something."""
        self._log_of(step, item, number).write(lines)

    def _log_of(self, step: str, item: int | None, number: int) -> FakeLog:
        return self.logs.setdefault((step, item, number), FakeLog())

    # -- the port -------------------------------------------------------------------------------------

    async def open(self) -> None:
        if self.broken is not None:
            raise self.broken

    async def snapshot(self, *, page: int) -> Snapshot:
        rows = self._rows()
        live = tuple(row for row in rows if not row.status.is_terminal)
        own = [row for row in rows if not row.parent_run]
        return Snapshot(self.facts, self.workflows, tuple(own[:page]), live=live)

    def _rows(self) -> list[RunRow]:
        ids = dict.fromkeys(event.run_id for event in self.journal if event.type is EventType.RUN_CREATED)
        views = [reduce_all(None, [e for e in self.journal if e.run_id == run_id]) for run_id in ids]
        return sorted((row_of(view) for view in views if view), key=lambda row: -row.seq)

    def slots(self) -> tuple[int, int]:
        return self.busy, 8

    async def events(self) -> AsyncIterator[Sequence[Event]]:
        while True:
            yield await self._live.get()

    async def workflow_changes(self) -> AsyncIterator[tuple[WorkflowEntry, ...]]:
        while True:
            yield await self._saves.get()

    def _do(self, *call: Any) -> None:
        self.calls.append(call)
        if self.refuse is not None and call[0] in COMMANDS:
            error, self.refuse = self.refuse, None
            raise error

    async def run(self, path: str, params: Mapping[str, Any]) -> str:
        self._do("run", path, dict(params))
        return self.started

    async def retry(
        self, run_id: str, scope: RetryScope, *, digest: str = "", params: Mapping[str, Any] | None = None
    ) -> str:
        self.digest, self.given = digest, dict(params or {})
        self._do("retry", run_id, scope)
        return self.started

    async def cancel(self, run_id: str, *, hurry: bool = False) -> None:
        self._do("cancel", run_id, hurry)

    async def answer_gate(self, run_id: str, step_id: str, *, approved: bool, comment: str) -> None:
        self._do("answer_gate", run_id, step_id, approved, comment)

    async def kept_agents(self, run_id: str | None = None) -> tuple[KeptAgent, ...]:
        self._do("kept_agents", run_id)
        return tuple(agent for agent in self.kept if run_id in (None, agent.attempt.run_id))

    async def pools(self) -> tuple[PoolReport, ...]:
        self._do("pools")
        return tuple(self.reports)

    async def cleanup(self, names: Sequence[str]) -> tuple[str, ...]:
        self._do("cleanup", tuple(names))
        self.kept = [agent for agent in self.kept if agent.name not in names]
        return tuple(names)

    async def runs(self, *, limit: int, before: int | None, workflow: str | None) -> tuple[RunRow, ...]:
        self._do("runs", limit, before, workflow)
        rows = [
            row
            for row in self._rows()
            if workflow in (None, row.workflow)
            and (before is None or row.seq < before)
            and not row.parent_run
        ]
        return tuple(rows[:limit])

    async def run_events(
        self, run_id: str, *, after: int, limit: int, step_id: str | None = None, item: int | None = None
    ) -> tuple[Event, ...]:
        found = [
            event
            for event in self.journal
            if event.run_id == run_id
            and event.seq > after
            and step_id in (None, event.step_id)
            and item in (None, event.item)
        ]
        return tuple(found[:limit])

    async def state_at(self, run_id: str, seq: int) -> Mapping[str, Any]:
        view = reduce_all(None, [e for e in self.journal if e.run_id == run_id and e.seq <= seq])
        return view.state if view is not None else {}

    async def describe_agent(self, name: str) -> Mapping[str, Any] | None:
        self._do("describe_agent", name)
        return self.agents.get(name)

    def log(self, attempt: AttemptKey) -> FakeLog:
        return self._log_of(attempt.step_id, attempt.item, attempt.number)

    async def usual_times(self, workflow: str, *, before: int | None) -> Usual:
        return self.usually

    async def close(self) -> None:
        pass
