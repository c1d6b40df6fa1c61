"""A run told in lines: what each event means to a person who reads along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentainer_tui.explain import QUEUED
from agentainer_tui.text import brief, clean, counted, duration
from agentainer_tui.views import ItemView, RunView, StepView, elapsed
from engine.events import Event, EventType, StepStatus

# The items of a larger map are told one by one only where something went wrong.
ITEMS_TOLD = 50
_ERROR_WIDTH = 200


def narrate(event: Event, view: RunView) -> tuple[str, str, str] | None:
    """Who, what and details of an event, each safe to print; None for what is not worth a line.

    `view` is the run as of this event or a little later.
    """
    data = event.data
    match event.type:
        case EventType.RUN_CREATED:
            return "run", "created", _created(view, data)
        case EventType.RUN_QUEUED:
            return "run", "queued", QUEUED.get(data.get("why", ""), "")
        case EventType.RUN_RECOVERED:
            return "run", "recovered", f"interruption {data.get('recoveries', 1)}: going on from the journal"
        case EventType.RUN_CANCELLING:
            return "run", "cancelling", clean(f"by {data.get('by', 'user')}")
        case EventType.RUN_FINISHED:
            took = elapsed(view.begun_at, event.time.timestamp(), 0.0)
            return "run", str(data["status"]), _joined(duration(took), ending(data))
        case EventType.RUN_SETTLED:
            words = f"comes to {data['status']}; its on_failure and finally steps have their turn"
            return "run", "settled", _joined(words, ending(data))
        case EventType.STEP_WAITING:
            words = _waiting(event)
            return (where(event), "waiting", words) if words else None
        case EventType.ATTEMPT_CREATED if child := data.get("child_run"):
            step = view.steps.get(event.step_id or "")
            name = clean(step.sub_workflow) if step is not None and step.sub_workflow else "a workflow"
            return where(event), "starting", f"{name} as run {clean(child)}"
        case EventType.STEP_EXPANDED:
            values = len(data.get("values", ()))
            return where(event), "expanded", counted(values, "worker" if data.get("workers") else "item")
        case EventType.STEP_RETRYING | EventType.ITEM_RETRYING:
            return where(event), "retrying", _retrying(event, view)
        case EventType.STEP_STARTED:
            return where(event), "running", ""
        case EventType.STEP_FINISHED | EventType.ITEM_FINISHED:
            return _finished(event, view)
        case EventType.WARNING:
            return where(event) or "run", "warning", clean(data.get("message", ""), limit=_ERROR_WIDTH)
    return None


def where(event: Event) -> str:
    """The step or item an event is about, as `step` or `step[3]`."""
    return label(event.step_id or "", event.item)


def label(step_id: str, item: int | None) -> str:
    """A step, or one of its items, in one word."""
    return clean(step_id if item is None else f"{step_id}[{item}]")


def ending(data: Mapping[str, Any]) -> str:
    """Reason, exit code and first line of the error, as far as there are any."""
    reason, code = data.get("reason") or "", data.get("exit_code")
    error = first_line(data.get("error"))
    said = error.startswith("exit code")
    words = f"{reason} (exit {code})" if reason and code and not said else str(reason)
    return f"{clean(words)}: {error}" if words and error else clean(words) or error


def first_line(error: object) -> str:
    """The first line of an error, no longer than a terminal's line or two."""
    text = str(error or "").strip().split("\n", 1)[0]
    return clean(text, limit=_ERROR_WIDTH) + ("…" if len(text) > _ERROR_WIDTH else "")


def tally(step: StepView) -> str:
    """How many items stand how: `11 of 12 items, 1 failed`."""
    if not step.items:
        return ""
    total = counted(len(step.items), "worker" if step.workers else "item")
    done = step.tally.get(StepStatus.COMPLETED, 0)
    others = [
        f"{number} {status.value}"
        for status in (
            StepStatus.RUNNING,
            StepStatus.RETRYING,
            StepStatus.FAILED,
            StepStatus.CANCELLED,
            StepStatus.SKIPPED,
        )
        if (number := step.tally.get(status, 0))
    ]
    return ", ".join([total if done == len(step.items) else f"{done} of {total}", *others])


def _created(view: RunView, data: Mapping[str, Any]) -> str:
    steps = counted(len(view.steps), "step")
    origin = f", again after run {view.retry_of}" if view.retry_of else ""
    if parent := data.get("parent"):
        origin += f", for {label(parent['step_id'], parent.get('item'))} of run {clean(parent['run_id'])}"
    if scheduled_for := data.get("scheduled_for"):
        origin += f", by its schedule, for {clean(scheduled_for)[:16].replace('T', ' ')}Z"
    params = "".join(f", {clean(key)}={brief(value, limit=40)}" for key, value in view.params.items())
    return f"{clean(view.workflow)} {view.id}, {steps}, backend {clean(view.backend)}{origin}{params}"


def _waiting(event: Event) -> str:
    """What a step waits for, where that is worth a line."""
    data = event.data
    due = f" at {clean(data['due'])[11:19]}Z" if data.get("due") else ""
    match data.get("why"):
        case "image" if event.item is None:
            return f"fetches its image, {int(data.get('percent') or 0)} %"
        case "approval":
            then = {True: "approved", False: "rejected", None: "fails"}[data.get("default")]
            asks = first_line(data.get("message")) or "go on?"
            return f"for approval: {asks}" + (f" ({then}{due})" if due else "")
        case "delay":
            return f"goes on{due or ' later'}"
    return ""


def _retrying(event: Event, view: RunView) -> str:
    node = _node(event, view)
    # The view may be ahead of the event: the next try may have begun in the same batch.
    earlier = [attempt.number for attempt in node.attempts if attempt.created_seq < event.seq] if node else []
    number = max(earlier, default=1) + 1
    delay = duration(event.data.get("delay"))
    return f"{ending(event.data)}; try {number} in {delay or '0.0s'}"


def _finished(event: Event, view: RunView) -> tuple[str, str, str] | None:
    node = _node(event, view)
    step = view.steps.get(event.step_id or "")
    status = str(event.data["status"])
    if event.item is not None and status == StepStatus.COMPLETED and step and len(step.items) > ITEMS_TOLD:
        return None
    took = ""
    if node is not None and node.started_at is not None:
        took = duration(max(0.0, event.time.timestamp() - node.started_at))
    items = tally(node) if isinstance(node, StepView) else ""
    choice = _choice(event, step) if event.item is None else ""
    return where(event), status, _joined(took, origin(event.data), choice, items, ending(event.data))


def origin(data: Mapping[str, Any]) -> str:
    """Where a result is from that is not a step's own, in words."""
    if cached_from := data.get("cached_from"):
        return f"remembered from run {clean(cached_from['run_id'])}"
    return "reused" if data.get("reused") else ""


def _choice(event: Event, step: StepView | None) -> str:
    result = event.data.get("result")
    if step is None or not step.routes or not isinstance(result, dict):
        return ""
    return f"chose {clean(result.get('choice'), limit=60)}"


def _node(event: Event, view: RunView) -> StepView | ItemView | None:
    step = view.steps.get(event.step_id or "")
    if step is None or event.item is None:
        return step
    return step.items[event.item] if event.item < len(step.items) else None


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
