"""Why a step is not running, or how it went wrong, in words for its row."""

from __future__ import annotations

from agentainer_tui.views import ItemView, RunView, StepView
from engine.events import RunStatus, StepStatus

_WAITS = {"slot": "waits for a free slot", "image": "fetches its image", "start": "waits to be started"}
_REASONS = {
    "condition_false": "its condition is false",
    "branch_not_taken": "branch not taken",
    "upstream_failed": "a step before it failed",
    "timed_out": "timed out",
    "oom_killed": "out of memory",
    "lost": "its agent vanished",
    "cancelled": "cancelled",
}


def reason_words(reason: str) -> str:
    """A reason of the closed list, in words."""
    return _REASONS.get(reason, reason.replace("_", " "))


def explain(view: RunView, step: StepView, node: StepView | ItemView, now: float) -> str:
    """Why `node`, the step or an item of it, is not running, or how it went wrong.

    That is: a dependency, a slot, the image, a back-off, a condition; or the exit code and the error.
    """
    if node.status is StepStatus.RETRYING:
        return _countdown(node, now, step.max_attempts)
    if node.status is StepStatus.SKIPPED or node.status is StepStatus.CANCELLED:
        return reason_words(node.reason)
    if node.status is StepStatus.FAILED:
        return _failure(node)
    if node.status is StepStatus.COMPLETED:
        return "reused" if node.reused else ""
    if node.waiting:
        words = _WAITS.get(node.waiting, f"waits: {node.waiting}")
        return f"{words} ({node.waiting_detail})" if node.waiting_detail else words
    if node.status is not StepStatus.PENDING or view.status.is_terminal:
        return ""
    if isinstance(node, ItemView):
        return f"waits: {step.max_concurrency} at a time" if step.max_concurrency else "waits for its turn"
    return _unmet(view, node)


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
        return "the run has not started"
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
