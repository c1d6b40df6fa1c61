"""Writes the events of a run as the engine would, on a clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.clock import isoformat
from engine.events import Event, EventType

EPOCH = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def node(step_id: str, *depends_on: str, **more: Any) -> dict[str, Any]:
    """One entry of `run.created`'s plan."""
    entry = {"id": step_id, "name": more.pop("name", step_id), "type": "sequential", "depends_on": depends_on}
    return {**entry, **more}


class Story:
    """The journal of one run, told call by call; `tick` moves its clock."""

    def __init__(self, run_id: str = "a1b2c3d4e5f6", *, first_seq: int = 1, epoch: datetime = EPOCH) -> None:
        self.run_id = run_id
        self.now = epoch
        self.seq = first_seq - 1
        self.events: list[Event] = []

    def tick(self, seconds: float) -> Story:
        self.now += timedelta(seconds=seconds)
        return self

    def say(
        self,
        kind: EventType,
        step: str | None = None,
        item: int | None = None,
        attempt: int | None = None,
        **data: Any,
    ) -> Event:
        self.seq += 1
        event = Event(self.run_id, kind, self.now, step, item, attempt, data, self.seq)
        self.events.append(event)
        return event

    def create(self, plan: Sequence[dict[str, Any]], workflow: str = "sample", **data: Any) -> Story:
        plan = [{"ordinal": place, **entry} for place, entry in enumerate(plan)]
        self.say(EventType.RUN_CREATED, workflow=workflow, digest="d", backend="process", plan=plan, **data)
        return self

    def start(self) -> Story:
        self.say(EventType.RUN_STARTED, old="pending", status="running")
        return self

    def finish(self, status: str = "completed", **data: Any) -> Story:
        self.say(EventType.RUN_FINISHED, old="running", status=status, **data)
        return self

    def say_cancelling(self) -> Story:
        self.say(EventType.RUN_CANCELLING, old="running", status="cancelling", by="dashboard")
        return self

    def step_start(self, step: str, item: int | None = None) -> Story:
        kind = EventType.STEP_STARTED if item is None else EventType.ITEM_STARTED
        self.say(kind, step, item, old="pending", status="running")
        return self

    def expand(self, step: str, values: Sequence[Any], *, workers: bool = False) -> Story:
        self.say(EventType.STEP_EXPANDED, step, values=list(values), workers=workers)
        return self

    def attempt(self, step: str, number: int = 1, item: int | None = None, log: str = "") -> Story:
        where = (step, item, number)
        self.say(
            EventType.ATTEMPT_CREATED, *where, task_id=f"task-{step}-{number}",
            agent=f"agent-{step}-{number}",
            backend="process", log=log or f"logs/{self.run_id}/{step}.{number}.log",
        )  # fmt: skip
        self.say(EventType.ATTEMPT_STARTED, *where, old="pending", status="running", agent_id="pid 7")
        return self

    def child(self, step: str, run_id: str, number: int = 1, item: int | None = None) -> Story:
        """An attempt that is a run of its own."""
        where = (step, item, number)
        self.say(
            EventType.ATTEMPT_CREATED, *where, task_id=f"task-{step}-{number}", agent="", backend="process",
            log="", child_run=run_id,
        )  # fmt: skip
        self.say(EventType.ATTEMPT_STARTED, *where, old="pending", status="running", agent_id=None)
        return self

    def ask(
        self, step: str, message: str, *, seconds: float | None = None, default: bool | None = None
    ) -> Story:
        """An approval step begins to wait."""
        self.step_start(step)
        due = None if seconds is None else isoformat(self.now + timedelta(seconds=seconds))
        self.say(EventType.STEP_WAITING, step, why="approval", message=message, due=due, default=default)
        return self

    def attempt_end(
        self, step: str, number: int = 1, item: int | None = None, status: str = "completed", **data: Any
    ) -> Story:
        self.say(EventType.ATTEMPT_FINISHED, step, item, number, old="running", status=status, **data)
        return self

    def retry(self, step: str, delay: float, item: int | None = None, **data: Any) -> Story:
        kind = EventType.STEP_RETRYING if item is None else EventType.ITEM_RETRYING
        due = isoformat(self.now + timedelta(seconds=delay))
        self.say(
            kind, step, item, old="running", status="retrying", delay=delay, next_attempt_at=due,
            **{"reason": "task_failed", **data},
        )  # fmt: skip
        return self

    def step_end(self, step: str, status: str = "completed", item: int | None = None, **data: Any) -> Story:
        kind = EventType.STEP_FINISHED if item is None else EventType.ITEM_FINISHED
        self.say(kind, step, item, old="running", status=status, **data)
        return self

    def run_step(self, step: str, seconds: float = 1.0, item: int | None = None, **data: Any) -> Story:
        """A step (or item) whose only attempt succeeds."""
        self.step_start(step, item).attempt(step, 1, item).tick(seconds)
        return self.attempt_end(step, 1, item, exit_code=0).step_end(step, item=item, **data)


def plan_of_events(events: Sequence[Event], run_id: str) -> list[tuple[str, str]]:
    """Ids and names of the steps of a run, as its first event has them."""
    created = next(e for e in events if e.run_id == run_id and e.type is EventType.RUN_CREATED)
    return [(step["id"], step.get("name", step["id"])) for step in created.data["plan"]]
