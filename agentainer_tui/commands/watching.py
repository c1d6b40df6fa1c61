"""`watch`: an engine over a directory of workflows, which runs them by their schedules, told in lines."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agentainer_tui.commands.console import err, out
from agentainer_tui.commands.interruptions import Interrupted, Interruptions
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.commands.narration import first_line, narrate, where
from agentainer_tui.commands.remarks import remarks_told
from agentainer_tui.commands.runs import moment
from agentainer_tui.model import reduce_all
from agentainer_tui.text import clean, duration, fit
from agentainer_tui.views import RunView
from engine.clock import isoformat
from engine.errors import Severity
from engine.events import Event, EventType
from engine.facade import Engine

if TYPE_CHECKING:
    from engine.facade import Scheduled, Settings

_TOLD = frozenset(
    {
        EventType.RUN_CREATED,
        EventType.RUN_QUEUED,
        EventType.RUN_RECOVERED,
        EventType.RUN_CANCELLING,
        EventType.RUN_FINISHED,
        EventType.WARNING,
    }
)
_CANCELLED = 130


def watch(options: Namespace) -> int:
    """`agentainer watch [DIR]`; 0 when it is ended while nothing runs, 130 if that cancelled runs."""
    return asyncio.run(_watch(settings_of(options), Path(options.dir)))


async def _watch(settings: Settings, directory: Path) -> int:
    with Interruptions() as interruptions:
        try:
            engine = await interruptions.unless(Engine.open(settings, directory=directory))
        except Interrupted:
            return _CANCELLED
        async with engine:
            with remarks_told(_note, settings.home):
                for note in engine.notes:
                    _note(note)
                return await _until_interrupted(engine, interruptions)


async def _until_interrupted(engine: Engine, interruptions: Interruptions) -> int:
    async with engine.subscribe() as events:
        narrator = Narrator(engine)
        await narrator.begin()
        telling = [
            asyncio.create_task(narrator.tell_runs(events)),
            asyncio.create_task(narrator.tell_schedules()),
        ]
        errors = asyncio.create_task(narrator.tell_errors())  # ends when the directory is gone
        asked = asyncio.create_task(interruptions.asked.wait())
        try:
            await asyncio.wait({asked, *telling}, return_when=asyncio.FIRST_COMPLETED)
            if not interruptions.asked.is_set():
                for told in telling:
                    if told.done():
                        told.result()  # why nothing more can be told
            return await _end(engine, interruptions)
        finally:
            for task in (asked, errors, *telling):
                task.cancel()
            await asyncio.wait({asked, errors, *telling})


async def _end(engine: Engine, interruptions: Interruptions) -> int:
    """Cancel what runs and close the engine; a second signal skips the grace."""
    running = engine.active
    by = interruptions.by or "agentainer watch"
    if running:
        grace = duration(engine.settings.stop_grace)
        _note(f"{by}: cancelling; the tasks have {grace} to stop, Ctrl-C again stops them at once")
        await engine.cancel_all(by=by)
    closing = asyncio.create_task(engine.close())
    insisted = asyncio.create_task(interruptions.insisted.wait())
    try:
        await asyncio.wait({closing, insisted}, return_when=asyncio.FIRST_COMPLETED)
        if not closing.done():
            _note("stopping the tasks at once")
            await engine.cancel_all(by=by, hurry=True)
        await closing
    finally:
        insisted.cancel()
    return _CANCELLED if running else 0


class Narrator:
    """Tells what an engine does, a line for each thing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._views: dict[str, RunView] = {}
        self._said: dict[Path, tuple[object, ...]] = {}
        self._errors: dict[Path, str] = {}

    async def begin(self) -> None:
        """Say what there is: interrupted runs that go on, and the next time of every schedule."""
        for run_id in self._engine.active:
            view = await self._view(run_id)
            _line(datetime.now(UTC), view.workflow, run_id, "goes on", "it was interrupted earlier")
        self._say_schedules()
        self._say_errors()
        if not self._engine.schedules():
            _note("no workflow here has a schedule; watching for one")

    async def tell_runs(self, events: AsyncIterator[Event]) -> None:
        """Tell of the runs, whose committed events these are."""
        async for event in events:
            await self._tell(event)

    async def tell_schedules(self) -> None:
        """Tell whenever a schedule is new, has changed, or has another next time."""
        while True:
            await self._engine.schedules_changed()
            self._say_schedules()

    async def tell_errors(self) -> None:
        """Tell of files with errors: what has a schedule in there is not known, or is that of before."""
        assert self._engine.catalog is not None, "a directory is watched"
        async for _ in self._engine.catalog.changes():
            self._say_errors()

    async def _tell(self, event: Event) -> None:
        view = reduce_all(self._views.get(event.run_id) or await self._view(event.run_id), (event,))
        assert view is not None
        self._views[event.run_id] = view
        told = narrate(event, view) if event.type in _TOLD else None
        if told is not None:
            _, what, details = told
            place = f"{where(event)}: " if event.step_id else ""
            _line(event.time, view.workflow, event.run_id, what, place + details)
        if event.type is EventType.RUN_FINISHED:
            del self._views[event.run_id]

    async def _view(self, run_id: str) -> RunView:
        """A run as the history has it; it may be ahead of the events, which then change nothing."""
        view = reduce_all(None, await self._engine.history.events(run_id, limit=1_000_000))
        return view or RunView(run_id)

    def _say_schedules(self) -> None:
        schedules = self._engine.schedules()
        for one in schedules:
            said = (one.workflow, one.next_time, one.problem)
            if self._said.get(one.path) != said:
                self._said[one.path] = said
                _say(one)
        for path in self._said.keys() - {one.path for one in schedules}:
            del self._said[path]
            _note(f"{path.name} has no schedule any more")

    def _say_errors(self) -> None:
        assert self._engine.catalog is not None, "a directory is watched"
        errors = {
            entry.path: next(str(problem) for problem in entry.problems if problem.severity is Severity.ERROR)
            for entry in self._engine.catalog.entries
            if entry.broken
        }
        for path, error in errors.items():
            if self._errors.get(path) != error:
                _note(
                    f"{path.name} has errors and does not run before they are put right: {first_line(error)}"
                )
        self._errors = errors


def _say(one: Scheduled) -> None:
    if one.next_time is None:
        details = first_line(one.problem) or "no time comes any more"
    else:
        details = clean(f"{moment(isoformat(one.next_time))} ({one.cron}, {one.timezone})")
    _line(datetime.now(UTC), one.workflow, "", "next", details)


def _line(time: datetime, workflow: str, run_id: str, what: str, details: str) -> None:
    """One line; `details` are safe already."""
    status = out.paint(f"{what:<10}", what)
    words = f"{moment(isoformat(time))}  {fit(clean(workflow), 20)}  {run_id:<12}  {status}  {details}"
    out.write(words.rstrip() + "\n")


def _note(text: str) -> None:
    err.line(f"agentainer: {text}")
