"""`events`: the journal of a run."""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from agentainer_tui.commands.console import out, print_json_line
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.commands.narration import narrate, where
from agentainer_tui.text import clean
from agentainer_tui.views import RunView
from engine.clock import isoformat
from engine.events import Event, EventType, RunStatus
from engine.facade import open_history

if TYPE_CHECKING:
    from engine.facade import Reader

_PAGE = 500
_DATA_WIDTH = 300
# What words say better than data does. They must need nothing but the event itself.
_TOLD = frozenset(
    {
        EventType.RUN_QUEUED,
        EventType.RUN_SETTLED,
        EventType.RUN_CANCELLING,
        EventType.STEP_WAITING,
        EventType.WARNING,
    }
)
# Between two looks at the journal of an engine in another process.
POLL = 0.2


def events(options: Namespace) -> int:
    """`agentainer events RUN`: one line, or one JSON object, for each event."""
    run_async(_print_events(options))
    return 0


async def _print_events(options: Namespace) -> None:
    async with open_history(settings_of(options)) as history:
        run = await history.run(options.run)
        async for event in events_of(history, run.id, follow=options.follow):
            if options.json:
                print_json_line(event_json(event))
            else:
                out.line(_line(event))
            if out.closed:
                return


async def events_of(history: Reader, run_id: str, *, follow: bool, after: int = 0) -> AsyncIterator[Event]:
    """The events of a run in order, from number `after` + 1 on; with `follow` until it has ended."""
    while True:
        # Asked before the page is read: after the end there is nothing that a later page could add.
        is_over = RunStatus((await history.run(run_id)).status).is_terminal
        page = await history.events(run_id, after=after, limit=_PAGE)
        for event in page:
            yield event
            after = event.seq
        if len(page) < _PAGE and (is_over or not follow):
            return
        if len(page) < _PAGE:
            await asyncio.sleep(POLL)


def event_json(event: Event) -> dict[str, Any]:
    """An event as `events --json` prints it."""
    return {
        "seq": event.seq,
        "time": isoformat(event.time),
        "type": event.type.value,
        "run_id": event.run_id,
        "step_id": event.step_id,
        "item": event.item,
        "attempt": event.attempt,
        "data": dict(event.data),
    }


def _line(event: Event) -> str:
    attempt = f"#{event.attempt}" if event.attempt else ""
    told = narrate(event, RunView(event.run_id)) if event.type in _TOLD else None
    if told is not None:
        shown = told[2]
    else:
        data = json.dumps(dict(event.data), ensure_ascii=False, default=str)
        shown = clean(data, limit=_DATA_WIDTH) + ("…" if len(data) > _DATA_WIDTH else "")
    return (
        f"{event.seq:>6}  {isoformat(event.time)}  {event.type.value:<16}  {where(event)}{attempt}  {shown}"
    )
