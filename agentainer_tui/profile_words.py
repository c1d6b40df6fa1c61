"""The parts of a run's time in words, and what a profile says in short; for the screen and the command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentainer_tui.text import clean, duration

if TYPE_CHECKING:
    from engine.profiling import Link, Profile, StepProfile

# What a part of the time is called.
PARTS = {
    "dependencies": "waiting for other steps",
    "queue": "waiting for room",
    "image": "getting images",
    "create": "making agents",
    "start": "starting agents",
    "run": "running tasks",
    "collect": "keeping artifacts",
    "backoff": "pauses between tries",
    "approval": "waiting for approval",
    "delay": "delays",
    "away": "no engine was there",
    "other": "the engine itself",
    "cleanup": "removing agents",
}
SEVERITIES = {"high": "error", "medium": "warning", "low": "muted"}
LEAST = 0.001  # seconds; what took less is not worth a line
_SHORT = {"other": "engine"}


def exact(value: float) -> str:
    """As `duration`, and what is short to the millisecond."""
    if value <= 0.0:
        return "0"
    return f"{1000 * value:.0f}ms" if value < 0.9995 else duration(value)


def share_words(share: float) -> str:
    """A share in whole percents; what is more than nothing is not called that."""
    return "<1 %" if 0.0 < share < 0.005 else f"{100 * share:.0f} %"


def mix(parts: Mapping[str, float]) -> str:
    """The largest parts of some time, in short."""
    ordered = sorted(parts.items(), key=lambda one: -one[1])
    told = [f"{_SHORT.get(part, part)} {exact(seconds)}" for part, seconds in ordered if seconds >= LEAST]
    return ", ".join(told[:2]) + (", …" if len(told) > 2 else "")


def place_words(step_id: str, item: int | None) -> str:
    """`step` or `step[3]`."""
    return clean(step_id, limit=200) if item is None else f"{clean(step_id, limit=200)}[{item}]"


def link_words(found: Profile, link: Link) -> str:
    """What a link of the critical path is."""
    if link.step_id is None:
        return "(the engine)"
    again = f" #{link.attempt}" if link.attempt is not None and link.attempt > 1 else ""
    return f"{'' if link.run_id == found.run_id else '↳ '}{place_words(link.step_id, link.item)}{again}"


def weight(step: StepProfile) -> tuple[float, float]:
    """What steps are ordered by: how much they decided the end, then how long they took."""
    return step.critical, step.wall
