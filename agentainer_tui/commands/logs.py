"""`logs`: what the attempts of a run wrote."""

from __future__ import annotations

import asyncio
import itertools
from argparse import Namespace
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentainer_tui.commands.console import json_text, out, program_line
from agentainer_tui.commands.events import POLL, events_of
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.commands.narration import label
from agentainer_tui.text import clean, fit
from engine.errors import UsageError
from engine.events import Event, EventType
from engine.facade import open_history
from engine.upkeep import open_log

if TYPE_CHECKING:
    from engine.facade import Reader, Settings, StepRecord
    from engine.upkeep import LogLine

# Lines written to stdout at a time while nothing has to be waited for.
_BATCH = 500
_NAME_WIDTH = 14
_MARKS = {"stdout": ("out", "running"), "stderr": ("err", "warning")}


@dataclass(frozen=True, slots=True)
class Source:
    """An attempt whose output is printed.

    `place` is where its run belongs, if it is part of the one that was asked for: `step/`, `step[3]/inner/`.
    """

    run_id: str
    step_id: str
    item: int | None
    attempt: int
    log: str
    place: str = ""

    @property
    def name(self) -> str:
        """`step#1`, `step[3]#2`, `step/inner#1`."""
        return f"{self.place}{label(self.step_id, self.item)}#{self.attempt}"

    @property
    def inner_place(self) -> str:
        """Where the runs belong that it is itself."""
        return f"{self.place}{label(self.step_id, self.item)}/"

    def is_of(self, event: Event) -> bool:
        """Whether an event is about this attempt."""
        return (self.step_id, self.item, self.attempt) == (event.step_id, event.item, event.attempt)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which attempts to print: those of some steps (None: all), of one item, with one number."""

    steps: frozenset[str] | None
    item: int | None
    attempt: int | None

    def takes(self, step_id: str, item: int | None, attempt: int) -> bool:
        """Whether this attempt is one of them."""
        return (
            (self.steps is None or step_id in self.steps)
            and self.item in (None, item)
            and self.attempt in (None, attempt)
        )


def logs(options: Namespace) -> int:
    """`agentainer logs RUN [STEP]`."""
    run_async(_logs(options))
    return 0


async def _logs(options: Namespace) -> None:
    settings = settings_of(options)
    async with open_history(settings) as history:
        run = await history.run(options.run)
        steps = await history.steps(run.id)
        wanted = Wanted(_chosen(options.step, steps, run.id), options.item, options.attempt)
        printer = Printer(settings, timestamps=options.timestamps, as_json=options.json)
        if options.follow:
            await _follow(history, run.id, wanted, printer)
            return
        async for source in _sources(history, run.id, wanted):
            printer.print_all(source)


def _chosen(step_id: str | None, steps: list[StepRecord], run_id: str) -> frozenset[str] | None:
    """The step that was asked for, with its members if it is a parallel one."""
    if step_id is None:
        return None
    chosen = frozenset(step.id for step in steps if step_id in (step.id, step.parent))
    if not chosen:
        known = [step.id for step in steps]
        import difflib

        near = difflib.get_close_matches(step_id, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(
            f"run {run_id} has no step {step_id!r}", hint=f"{hint}its steps: {', '.join(known) or 'none yet'}"
        )
    return chosen


class Printer:
    """Prints lines of attempts, each with its attempt's name and its stream."""

    def __init__(self, settings: Settings, *, timestamps: bool, as_json: bool) -> None:
        self._settings = settings
        self._timestamps = timestamps
        self._as_json = as_json

    def print_all(self, source: Source) -> None:
        """Print everything that an attempt wrote."""
        lines = open_log(self._settings, source.log).lines()
        while batch := list(itertools.islice(lines, _BATCH)):
            out.write("".join(self._text(source, line) for line in batch))
            if out.closed:
                return

    async def follow(self, source: Source, ended: asyncio.Event) -> None:
        """Print what an attempt writes, until it has ended.

        Raises:
            BrokenPipeError: nobody reads it any more.
        """
        async for line in open_log(self._settings, source.log).follow(ended):
            out.write(self._text(source, line))
            if out.closed:
                raise BrokenPipeError

    def _text(self, source: Source, line: LogLine) -> str:
        if self._as_json:
            record = {
                "time": line.time or None,
                "stream": line.stream,
                "run_id": source.run_id,
                "step_id": source.step_id,
                "item": source.item,
                "attempt": source.attempt,
                "text": line.text,
            }
            return json_text(record) + "\n"
        mark, style = _MARKS[line.stream]
        stamp = f"{clean(line.time):<27}  " if self._timestamps else ""
        name = fit(source.name, max(_NAME_WIDTH, len(source.name)))
        text = program_line(line.text, out.stream)
        return f"{stamp}{name} {out.paint(mark, style)} | {text}\n"


_EVERYTHING = Wanted(None, None, None)


async def _sources(history: Reader, run_id: str, wanted: Wanted, place: str = "") -> AsyncIterator[Source]:
    """The attempts in the order of the document, of the items and of the tries; those of child runs too."""
    detail = await history.detail(run_id)
    for step in detail.steps:
        for attempt in (*step.attempts, *(attempt for item in step.items for attempt in item.attempts)):
            if not wanted.takes(step.id, attempt.item, attempt.number):
                continue
            source = Source(run_id, step.id, attempt.item, attempt.number, attempt.log, place)
            if not attempt.child_run:
                yield source
            elif await _exists(history, attempt.child_run):
                async for inner in _sources(history, attempt.child_run, _EVERYTHING, source.inner_place):
                    yield inner


async def _exists(history: Reader, run_id: str) -> bool:
    """Whether a child run was begun: its parent notes the attempt at it first."""
    try:
        return (await history.run(run_id)).id == run_id
    except UsageError:
        return False


async def _follow(history: Reader, run_id: str, wanted: Wanted, printer: Printer, place: str = "") -> None:
    """Print what there is in the order of time, then what comes, until the run has ended."""
    try:
        async with asyncio.TaskGroup() as group:
            await _follow_run(history, run_id, wanted, printer, place, group)
    except* BrokenPipeError:
        pass


async def _follow_run(
    history: Reader, run_id: str, wanted: Wanted, printer: Printer, place: str, group: asyncio.TaskGroup
) -> None:
    live: dict[Source, tuple[asyncio.Event, str]] = {}
    past: list[tuple[Source, str]] = []
    last = 0

    def note(event: Event) -> Source | None:
        """Keep book of an attempt's beginning and end; returns it if it has begun."""
        if not wanted.takes(event.step_id or "", event.item, event.attempt or 0):
            return None
        if event.type is EventType.ATTEMPT_CREATED:
            where = event.step_id or "", event.item, event.attempt or 0
            source = Source(run_id, *where, str(event.data.get("log", "")), place)
            live[source] = asyncio.Event(), str(event.data.get("child_run") or "")
            return source
        if event.type is EventType.ATTEMPT_FINISHED:
            for source in [one for one in live if one.is_of(event)]:
                ended, child = live.pop(source)
                ended.set()
                past.append((source, child))
        return None

    def begin(source: Source) -> None:
        ended, child = live[source]
        follow = _follow_child(history, child, ended, printer, source, group) if child else None
        group.create_task(follow or printer.follow(source, ended))

    async for event in events_of(history, run_id, follow=False):
        note(event)
        last = event.seq
    for source, child in past:
        if not child:
            printer.print_all(source)
        elif await _exists(history, child):
            async for inner in _sources(history, child, _EVERYTHING, source.inner_place):
                printer.print_all(inner)
    for source in list(live):
        begin(source)
    async for event in events_of(history, run_id, follow=True, after=last):
        begun = note(event)
        if begun is not None:
            begin(begun)
    for ended, _ in live.values():
        ended.set()


async def _follow_child(
    history: Reader,
    child: str,
    ended: asyncio.Event,
    printer: Printer,
    source: Source,
    group: asyncio.TaskGroup,
) -> None:
    """Follow a child run as soon as it exists; its attempt may end without it."""
    while not await _exists(history, child):
        if ended.is_set():
            return
        await asyncio.sleep(POLL)
    await _follow_run(history, child, _EVERYTHING, printer, source.inner_place, group)
