"""Any event of a run in a few words: what `narrate` has a line for, and everything else."""

from __future__ import annotations

from agentainer_tui.commands.narration import ending, narrate, where
from agentainer_tui.looks import LOOKS
from agentainer_tui.text import clean
from agentainer_tui.views import RunView
from engine.events import Event, EventType

_WAITS = {"slot": "waits for a slot", "pool": "waits for a warm agent", "image": "waits for its image"}


def event_words(event: Event, view: RunView) -> str:
    """One safe line about an event; `view` is the run as of it."""
    told = narrate(event, view)
    if told is not None:
        who, what, details = told
        return f"{who} {what}{': ' if details else ''}{details}"
    who = where(event) or "run"
    attempt = f"try {event.attempt}" if event.attempt else ""
    data = event.data
    match event.type:
        case EventType.RUN_STARTED:
            return "run running"
        case EventType.ATTEMPT_CREATED:
            return f"{who} {attempt} made: {clean(data.get('agent') or 'agent')}"
        case EventType.ATTEMPT_STARTED:
            return f"{who} {attempt} running"
        case EventType.ATTEMPT_FINISHED:
            code = "" if data.get("exit_code") is None else f", exit {data['exit_code']}"
            kept = ", kept for inspection" if data.get("kept") else ""
            end = ending({"reason": data.get("reason"), "error": data.get("error")})
            return f"{who} {attempt} {data['status']}{code}{kept}{': ' if end else ''}{end}"
        case EventType.ATTEMPT_SAMPLED:
            return f"{who} {attempt} measured"
        case EventType.AGENT_REMOVED:
            whose = f"{who} {attempt} " if event.step_id else ""
            return f"{whose}agent removed: {clean(data.get('agent', ''))}"
        case EventType.STEP_WAITING:
            return f"{who} {_WAITS.get(str(data.get('why')), 'waits')}"
        case EventType.ITEM_STARTED:
            return f"{who} running"
        case EventType.ITEM_FINISHED:
            return f"{who} {data['status']}"
    return f"{who} {event.type.value}"


def event_ink(event: Event) -> str:
    """The ink of an event: that of the status that something has after it."""
    status = str(event.data.get("status", ""))
    return LOOKS[status].ink if status in LOOKS else "text"
