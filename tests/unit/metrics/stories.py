"""Runs made by hand, event by event, so that it is known where each of their seconds went."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.events import Event, EventType

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Story:
    """A run's events as the engine would write them; times are seconds after its making."""

    def __init__(self, plan: Iterable[dict[str, Any]], run_id: str = "r1", start: float = 0.0) -> None:
        self.run_id = run_id
        self.events: list[tuple[float, int, Event]] = []
        steps = [
            {"name": step["id"], "type": "sequential", "ordinal": number, "depends_on": [], **step}
            for number, step in enumerate(plan)
        ]
        self.note(start, EventType.RUN_CREATED, workflow="w", plan=steps)
        self.note(start, EventType.RUN_STARTED, old="pending", status="running")

    def note(self, at: float, type_: EventType, step: str | None = None, item: int | None = None,
             attempt: int | None = None, **data: Any) -> None:  # fmt: skip
        """One event."""
        event = Event(self.run_id, type_, EPOCH + timedelta(seconds=at), step, item, attempt, data)
        self.events.append((at, len(self.events), event))

    def end(self, at: float, status: str = "completed", **data: Any) -> Story:
        """The run's end."""
        self.note(at, EventType.RUN_FINISHED, old="running", status=status, **data)
        return self

    def attempt(self, step: str, created: float, phases: dict[str, float], *, item: int | None = None,
                number: int = 1, status: str = "completed", end: float | None = None,
                reason: str | None = None, child: str | None = None, **more: Any) -> float:  # fmt: skip
        """One attempt: made, started, run, over; returns when it was over."""
        before = sum(phases.get(part, 0.0) for part in ("backoff", "image", "create", "start"))
        started = created + before
        over = started + phases.get("run", 0.0) + phases.get("collect", 0.0) if end is None else end
        where = (step, item, number)
        self.note(created, EventType.ATTEMPT_CREATED, *where, agent="a", image="busybox", child_run=child,
                  pool=more.get("pool"))  # fmt: skip
        if "run" in phases or end is not None:
            self.note(started, EventType.ATTEMPT_STARTED, *where, old="pending", status="running",
                      placement=more.get("placement"))  # fmt: skip
        if more.get("samples"):
            self.note(over, EventType.ATTEMPT_SAMPLED, *where, **more["samples"])
        self.note(over, EventType.ATTEMPT_FINISHED, *where, old="running", status=status, reason=reason,
                  kept=False, phases=phases, usage=more.get("usage"))  # fmt: skip
        if "took" in more:
            removed = {"agent": "a", "by": "policy", "took": more["took"]}
            self.note(over + more["took"], EventType.AGENT_REMOVED, *where, **removed)
        return over

    def step(self, step: str, started: float, phases: dict[str, float], *, status: str = "completed",
             **more: Any) -> float:  # fmt: skip
        """A step of one attempt; returns when it was over."""
        self.note(started, EventType.STEP_STARTED, step, old="pending", status="running")
        over = self.attempt(step, started, phases, status=status, **more)
        self.note(over, EventType.STEP_FINISHED, step, old="running", status=status)
        return over

    @property
    def all(self) -> list[Event]:
        """Its events in order."""
        return [event for _, _, event in sorted(self.events, key=lambda noted: noted[:2])]


def together(*stories: Story) -> list[Event]:
    """The events of several runs, as the journal has them."""
    noted = [(at, place, number, event) for place, story in enumerate(stories)
             for at, number, event in story.events]  # fmt: skip
    return [event for *_, event in sorted(noted, key=lambda one: one[:3])]
