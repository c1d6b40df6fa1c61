"""An engine without a machine under it: real journal, real plans, scripted agents, virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from engine.agents.backend import AgentInfo, AgentSpec
from engine.agents.memory import Behaviour, MemoryBackend, Script
from engine.clock import LoopClock
from engine.events import Event, EventType, RunStatus, StepStatus
from engine.history.journal import Journal
from engine.history.logs import LogWriter
from engine.history.reader import Reader
from engine.history.records import RunDetail, StepRecord
from engine.orchestrator.context import Services
from engine.orchestrator.leftovers import reap
from engine.orchestrator.manager import Orchestrator
from engine.orchestrator.slots import Slots
from engine.settings import Settings
from engine.state.memory_store import MemoryStateStore
from engine.workflows.linking import link_from
from engine.workflows.loader import load_text
from engine.workflows.params import resolve_params
from engine.workflows.plan import Plan
from tests.engine.virtual_time import VirtualTimeLoop, run_virtual

T = TypeVar("T")


def plan_of(document: str, library: Mapping[str, str] = MappingProxyType({})) -> Plan:
    """The plan of a YAML text that must be valid, linked with those of `library` that it runs, by name."""
    loaded = load_text(document, "test.yaml")
    assert loaded.plan is not None, "\n".join(map(str, loaded.problems))
    return link_from(loaded.plan, {name: (text, f"{name}.yaml") for name, text in library.items()})


class Life:
    """Of one engine. Once it is over, its calls hang; once it is buried, they end as cancelled."""

    def __init__(self) -> None:
        self.over = False
        self._buried = False
        self._hanging: list[asyncio.Future[Any]] = []

    def hang(self) -> asyncio.Future[Any]:
        """What a dead engine's call comes to."""
        future = asyncio.get_running_loop().create_future()
        self._hanging.append(future)
        if self._buried:
            future.cancel()
        return future

    def bury(self) -> None:
        """Let what hangs end, so that the test can."""
        self._buried = True
        for future in self._hanging:
            future.cancel()


class Held:
    """Passes calls on to a reader, and holds virtual time while its thread works."""

    def __init__(self, inner: Any, loop: VirtualTimeLoop) -> None:
        self._inner = inner
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            with self._loop.outside():
                return await found(*args, **kwargs)

        return call


# Calls that are plain functions of what is in the engine's own memory.
_ASKS_NOBODY = ("environment", "collections")


class Mortal:
    """Passes calls on to something that outlives the engine, as long as the engine lives.

    That is what a killed engine looks like from outside: it does nothing more, and nothing is undone.
    """

    def __init__(self, inner: Any, life: Life) -> None:
        self._inner = inner
        self._life = life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if not self._life.over or name in _ASKS_NOBODY:
                return found(*args, **kwargs)
            return self._subscription() if name == "completion" else self._life.hang()

        return call

    @asynccontextmanager
    async def _subscription(self) -> AsyncIterator[None]:
        await self._life.hang()
        yield


class World:
    """One engine on the loop's virtual time.

    `behaviour` scripts its agents, `environ` has the values of secrets, `library` the workflows that others
    run, by name. Tests read with `history`.
    """

    def __init__(self, loop: VirtualTimeLoop, home: Path, behaviour: Behaviour, **settings: Any) -> None:
        self.loop = loop
        # Who waits for silence keeps time going, and a deadlock would not be found out.
        self.settings = Settings(home=home, **{"silence_warning": 0, **settings})
        self.backend = MemoryBackend(behaviour)
        self.store = MemoryStateStore()
        self.clock = LoopClock()
        self.lives: list[Life] = []
        self._engines: list[Orchestrator] = []  # dead ones, too, so that no run of theirs is collected
        self.environ: dict[str, str] = {}
        self.library: dict[str, str] = {}

    async def open(self) -> None:
        """Open history and store, make the orchestrator."""
        self.settings.home.mkdir(parents=True, exist_ok=True)
        with self.loop.outside():
            self.journal = await Journal.open(self.settings.database)
            self.reader = Reader(self.settings.database, now=lambda: self.clock.now())
        self.history: Any = Held(self.reader, self.loop)
        self.loop.watch(lambda: self.journal.at_work)
        await self.store.open()
        self.facts = await self.backend.open()
        self.boot()

    def boot(self) -> None:
        """A fresh engine on what there is."""
        self.life = Life()
        self.lives.append(self.life)
        reader: Any = Mortal(self.history, self.life)
        self.services = Services(
            journal=Mortal(self.journal, self.life),
            store=Mortal(self.store, self.life),
            backend=Mortal(self.backend, self.life),
            facts=self.facts,
            clock=self.clock,
            settings=self.settings,
            slots=Slots.of(self.settings.max_tasks),
            instance="world",
            open_log=lambda path, budget: LogWriter(
                self.settings.logs, path, limit=self.settings.log_limit, budget=budget
            ),
            recall=reader.recall,
        )
        self.orchestrator = Orchestrator(self.services, reader, environ=self.environ)
        self._engines.append(self.orchestrator)

    async def crash(self, run_id: str) -> RunDetail:
        """Kill the engine and boot another; returns the run as the history has it then."""
        self.life.over = True
        await asyncio.sleep(1)  # calls that the journal and the backend had accepted still take effect
        self.boot()
        return await self.detail(run_id)

    async def reap(self) -> list[AgentInfo]:
        """Let the present engine remove what belongs to nothing, as it does before it resumes runs."""
        return await reap(self.services, self.history)

    async def recover(self, detail: RunDetail, document: str) -> RunDetail:
        """Let the present engine go on with an interrupted run, to its end."""
        await self.resume(detail, document)
        return await self.finish(detail.run.id)

    async def resume(self, detail: RunDetail, document: str) -> None:
        """Let the present engine go on with an interrupted run."""
        with self.loop.outside():
            await self.orchestrator.resume(plan_of(document, self.library), detail, self.services)

    async def close(self) -> None:
        """Close what was opened."""
        await self.orchestrator.close(by="test")
        for life in self.lives[:-1]:
            life.bury()
        with self.loop.outside():
            await self.reader.close()
            await self.journal.close()

    async def start(self, document: str, **params: Any) -> str:
        """Start a run of a YAML text."""
        plan = plan_of(document, self.library)
        return await self.orchestrator.start(plan, resolve_params(plan, params), source="test")

    async def finish(self, run_id: str) -> RunDetail:
        """Wait for a run's end, check what must hold of every run, and return it."""
        await self.orchestrator.wait(run_id)
        detail = await self.detail(run_id)
        events = await self.events(run_id)
        check_invariants(detail, events)
        assert self.backend.most_running <= self.settings.max_tasks
        if not self.orchestrator.active:
            assert self.backend.running == 0, "an agent runs though no run does"
        return detail

    async def run(self, document: str, **params: Any) -> RunDetail:
        """Run a YAML text to its end."""
        return await self.finish(await self.start(document, **params))

    async def detail(self, run_id: str) -> RunDetail:
        """The run as history has it."""
        with self.loop.outside():
            return await self.reader.detail(run_id)

    async def events(self, run_id: str) -> list[Event]:
        """Its events, in order."""
        with self.loop.outside():
            return await self.reader.events(run_id, limit=1_000_000)


def check_invariants(detail: RunDetail, events: list[Event]) -> None:
    """What holds of every run that is over: everything ended, and ended once; items are in order."""
    assert RunStatus(detail.run.status).is_terminal
    ends: dict[tuple[Any, ...], int] = {}
    for event in events:
        if event.type in (EventType.STEP_FINISHED, EventType.ITEM_FINISHED, EventType.ATTEMPT_FINISHED):
            key = (event.type, event.step_id, event.item, event.attempt)
            ends[key] = ends.get(key, 0) + 1
    assert all(count == 1 for count in ends.values()), f"ended more than once: {ends}"
    assert sum(event.type is EventType.RUN_FINISHED for event in events) == 1
    for step in detail.steps:
        assert StepStatus(step.status).is_terminal, f"step {step.id} is {step.status}"
        assert [item.index for item in step.items] == list(range(len(step.items)))
        for item in step.items:
            assert StepStatus(item.status).is_terminal, f"item {step.id}.{item.index} is {item.status}"
        attempts = [*step.attempts, *(attempt for item in step.items for attempt in item.attempts)]
        for attempt in attempts:
            assert StepStatus(attempt.status).is_terminal, f"attempt {attempt.task_id} is {attempt.status}"


def in_world(
    home: Path,
    story: Callable[[World], Coroutine[Any, Any, T]],
    behaviour: Behaviour | None = None,
    **settings: Any,
) -> T:
    """Run `story(world)` under virtual time."""

    async def main(loop: VirtualTimeLoop) -> T:
        world = World(loop, home, behaviour or (lambda spec: Script()), **settings)
        await world.open()
        try:
            return await story(world)
        finally:
            await world.close()

    return run_virtual(main)


def run_once(home: Path, document: str, scripts: dict[str, Script] | None = None) -> RunDetail:
    """Run a YAML text to its end in a world of its own, with agents scripted by step."""

    async def story(world: World) -> RunDetail:
        return await world.run(document)

    return in_world(home, story, by_step(scripts or {}))


def prints(value: Any, **rest: Any) -> Script:
    """A script that prints `value` as JSON."""
    return Script(stdout=json.dumps(value), **rest)


def by_step(scripts: dict[str, Script]) -> Behaviour:
    """Each step its own script; steps that are not named succeed at once."""
    return lambda spec: scripts.get(spec.identity.step_id, Script())


def step_of(detail: RunDetail, step_id: str) -> StepRecord:
    """One step of a run."""
    return next(step for step in detail.steps if step.id == step_id)


def statuses(detail: RunDetail) -> dict[str, str]:
    """Status of every step."""
    return {step.id: step.status for step in detail.steps}


def ends(detail: RunDetail) -> dict[str, str]:
    """Of every step its status, or why it was skipped."""
    return {step.id: step.reason or "" if step.status == "skipped" else step.status for step in detail.steps}


async def until(condition: Callable[[], bool], *, seconds: float = 1000.0) -> None:
    """Let (virtual) time pass until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


Action = Callable[[AgentSpec], Awaitable[None]]
