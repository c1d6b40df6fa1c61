"""Why a step is not running, or how it went wrong, in words for its row."""

from __future__ import annotations

from agentainer_tui.looks import DELAY, GATE, LOOKS, UNKNOWN, Look
from agentainer_tui.text import clean, duration
from agentainer_tui.views import ItemView, RouteView, RunView, StepView, Wait
from engine.events import RunStatus, StepStatus

_WAITS = {
    "slot": "waits for a free slot",
    "pool": "waits for a warm agent",
    "image": "fetches its image",
    "start": "waits to be started",
}
_REASONS = {
    "condition_false": "its condition is false",
    "branch_not_taken": "branch not taken",
    "upstream_failed": "a step before it failed",
    "timed_out": "timed out",
    "oom_killed": "out of memory",
    "lost": "its agent vanished",
    "cancelled": "cancelled",
    "sub_workflow_failed": "its workflow failed",
    "no_choice_matched": "no choice matched",
}
_ROLES = {"on_failure": "runs only if the run fails", "finally": "runs at the end, whatever happens"}
# What stands above the steps that have their turn after the run's own.
SECTIONS = {"on_failure": "if the run fails", "finally": "at the end, whatever happens"}
QUEUED = {
    "max_active_runs": "waits for other runs of this workflow",
    "schedule": "waits for the run that its schedule started before",
}


def reason_words(reason: str) -> str:
    """A reason of the closed list, in words."""
    return _REASONS.get(reason, reason.replace("_", " "))


def look_of(node: StepView | ItemView) -> Look:
    """How a step or item is shown: by its status, unless it only waits."""
    if node.waiting.why == "approval":
        return GATE
    if node.waiting.why == "delay":
        return DELAY
    return LOOKS.get(node.status, UNKNOWN)


def chosen(step: StepView) -> RouteView | None:
    """The way that a decision or branch has gone."""
    label = step.result.get("choice") if isinstance(step.result, dict) else None
    return next((way for way in step.routes if way.label == label), None)


def explain(view: RunView, step: StepView, node: StepView | ItemView, now: float) -> str:
    """Why `node`, the step or an item of it, is not running, or how it went wrong.

    That is: a dependency, a slot, the image, an answer, a back-off, a condition; or the exit code and the
    error. Of what went well: where the result is from, and which way a decision has gone.
    """
    if node.status is StepStatus.RETRYING:
        return _countdown(node, now, step.max_attempts)
    if node.status is StepStatus.SKIPPED and step.role == "on_failure" and node.error:
        return clean(node.error.split("\n", 1)[0])
    if node.status is StepStatus.SKIPPED or node.status is StepStatus.CANCELLED:
        return reason_words(node.reason)
    if node.status is StepStatus.FAILED:
        return _failure(node)
    if node.status is StepStatus.COMPLETED:
        return _success(step, node)
    if node.waiting:
        return waiting_words(node.waiting, now)
    if node.child_run:
        return f"run {node.child_run[:6]}, enter opens it"
    if node.status is not StepStatus.PENDING or view.status.is_terminal:
        return ""
    if isinstance(node, ItemView):
        return f"waits: {step.max_concurrency} at a time" if step.max_concurrency else "waits for its turn"
    return _unmet(view, node)


def waiting_words(wait: Wait, now: float) -> str:
    """What is waited for, and until when."""
    left = None if wait.due is None else duration(wait.due - now)
    if wait.why == "delay":
        return f"goes on in {left}" if left is not None else "goes on later"
    if wait.why == "approval":
        words = f"asks: {clean(wait.detail)}" if wait.detail else "waits for approval"
        then = {True: "approved", False: "rejected", None: "fails"}[wait.default]
        return words if left is None else f"{words} ({then} in {left})"
    words = _WAITS.get(wait.why, f"waits: {wait.why}")
    return f"{words} ({wait.detail})" if wait.detail else words


def _success(step: StepView, node: StepView | ItemView) -> str:
    if node.cached_from is not None:
        return f"remembered from run {node.cached_from.run_id[:6]}"
    words = "reused" if node.reused else "parts of it failed" if node.partial and not step.items else ""
    if isinstance(node, StepView) and (way := chosen(step)) is not None:
        words = f"chose {clean(way.label)}" + (f", {words}" if words else "")
    return words


def _countdown(node: StepView | ItemView, now: float, max_attempts: int) -> str:
    number = len(node.attempts) + 1
    of = f"/{max_attempts}" if max_attempts else ""
    if node.next_attempt_at is None or node.next_attempt_at <= now:
        return f"try {number}{of} is next"
    left = node.next_attempt_at - now
    return f"try {number}{of} in {left:.1f}s" if left < 9.95 else f"try {number}{of} in {left:.0f}s"


def _failure(node: StepView | ItemView) -> str:
    words = "" if node.reason in ("", "task_failed") else reason_words(node.reason)
    error = node.error.strip().split("\n", 1)[0]
    if not error and node.exit_code:
        error = f"exit code {node.exit_code}"
    return f"{words}: {error}" if words and error else words or error


def _unmet(view: RunView, step: StepView) -> str:
    if view.status is RunStatus.PENDING:
        return QUEUED.get(view.queued, "the run has not started")
    if step.role in _ROLES and view.settled is None:
        return _ROLES[step.role]
    names = [
        view.steps[dependency].name
        for dependency in step.depends_on
        if dependency in view.steps and not view.steps[dependency].status.is_terminal
    ]
    parent = view.steps.get(step.parent or "")
    if not names and parent is not None and parent.status is StepStatus.PENDING:
        names = [parent.name]
    if not names:
        return ""
    more = f" +{len(names) - 3}" if len(names) > 3 else ""
    return f"waits: {', '.join(names[:3])}{more}"
