"""The journal of a step or item: one row an event, and all of its data below."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from agentainer_tui.inspector.entries import Entry, Line
from agentainer_tui.inspector.words import say
from agentainer_tui.looks import LOOKS, UNKNOWN
from agentainer_tui.text import brief, clean, precise
from engine.clock import isoformat
from engine.events import Event

# Data that is too long for the row, or said in another way there.
_QUIET = {
    *("old", "status", "document", "plan", "state", "values", "result", "changes", "children", "cache_key"),
    *("rows", "phases", "usage", "env", "log", "spec_digest", "task_id", "image", "image_id", "command"),
    *("backend", "agent_id", "placement", "metadata", "env_files"),
}


_SECONDS = ("duration", "took", "delay")


def event_entries(events: Iterable[Event], more: int = 0) -> list[Entry]:
    """The tab Events; `more` is how many older ones are left out."""
    entries = [Entry(_data(event), label=str(event.seq), head=_head(event)) for event in events]
    if more:
        entries.insert(0, say(f"{more:,} earlier events are left out; `agentainer events` has them", "muted"))
    return entries or [say("No events yet.", "muted")]


def _data(event: Event) -> dict[str, Any]:
    """The event as `agentainer events --json` prints it."""
    return {
        "seq": event.seq,
        "type": str(event.type),
        "time": isoformat(event.time),
        "step_id": event.step_id,
        "item": event.item,
        "attempt": event.attempt,
        "data": dict(event.data),
    }


def _head(event: Event) -> Line:
    where = "" if event.item is None else f"[{event.item}]"
    where += "" if event.attempt is None else f" try {event.attempt}"
    status = str(event.data.get("status", ""))
    said = " ".join(
        f"{name}={precise(value) if name in _SECONDS else brief(value, limit=80)}"
        for name, value in event.data.items()
        if name not in _QUIET and value not in (None, "", False)
    )
    local = datetime.fromtimestamp(event.time.timestamp())
    return (
        (f"{local:%H:%M:%S}.{local.microsecond // 1000:03d} ", "faint"),
        (f"{event.type:<17} ", "text"),
        (f"{where.strip():<9} ", "muted"),
        (f"{clean(status):<10} " if status else "", LOOKS.get(status, UNKNOWN).ink),
        (clean(said, limit=600), "muted"),
    )
