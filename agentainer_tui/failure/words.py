"""Why something failed, in words: signals by name, the platform told apart from the task, what would help."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from agentainer_tui.views import AttemptView, ItemView, StepView

Node = StepView | ItemView

_REASONS = {
    "invalid_definition": "its document is not valid",
    "input_error": "its input could not be made",
    "no_choice_matched": "no choice matched",
    "image_error": "its image could not be had",
    "infra_error": "the platform failed, not the task",
    "start_failed": "it could not be started",
    "task_failed": "the task said that it failed",
    "oom_killed": "it ran out of memory",
    "timed_out": "it timed out",
    "cancelled": "it was cancelled",
    "lost": "its agent vanished",
    "bad_result": "its result could not be taken",
    "sub_workflow_failed": "the workflow that it runs failed",
    "rejected": "a person rejected it",
}
_HINTS = {
    "input_error": "a step before it sets what it needs: look at the state at its start",
    "image_error": "check the name of the image, and `docker pull` it by hand",
    "infra_error": "nothing is wrong with the task: retry; `agentainer doctor` looks at this machine",
    "start_failed": "check `command` against what is in the image",
    "oom_killed": "raise `resource_limits.memory_limit`, or let it do less at a time",
    "timed_out": "raise `timeout`, or find out what it waited for: its last lines are below",
    "lost": "somebody removed its agent, or the machine was restarted: retry",
    "bad_result": "the result must be one JSON value within the limit",
}
_CODES = {
    126: ("its command could not be executed", "check its permissions, and that it is for this processor"),
    127: ("its command was not found", "check `command` against what is in the image"),
}
_SIGNALS = {
    signal.SIGKILL: "it was killed from outside, or the whole machine ran out of memory",
    signal.SIGTERM: "somebody asked it to end",
    signal.SIGSEGV: "the program itself crashed",
    signal.SIGABRT: "the program gave up by itself",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why something failed: in a few words, and what would help (may be empty)."""

    words: str
    hint: str = ""


def verdict(node: Node) -> Verdict:
    """Why a step or item failed."""
    code = exit_code(node)
    if node.reason in ("", "task_failed") and code:
        return _of_code(code)
    words = _REASONS.get(node.reason, node.reason.replace("_", " ") or "it failed")
    return Verdict(words, _HINTS.get(node.reason, ""))


def exit_code(node: Node) -> int | None:
    """The exit code of a step or item, or of its last try."""
    if node.exit_code is not None:
        return node.exit_code
    last = last_attempt(node)
    return last.exit_code if last is not None else None


def last_attempt(node: Node) -> AttemptView | None:
    """The last try of a step or item."""
    return node.attempts[-1] if node.attempts else None


def _of_code(code: int) -> Verdict:
    """An exit code: a signal if a shell or the system would say so."""
    number = -code if code < 0 else code - 128
    try:
        ended_by = signal.Signals(number)
    except ValueError:
        if code in _CODES:
            words, hint = _CODES[code]
            return Verdict(f"{words} (exit code {code})", hint)
        return Verdict(f"exit code {code}")
    return Verdict(f"ended by signal {number}, {ended_by.name}", _SIGNALS.get(ended_by, ""))
