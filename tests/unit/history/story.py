"""Events of small runs, as the engine records them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from engine.events import Event, EventType

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Story:
    """Makes the events of one run; every event is one second after the one before."""

    def __init__(self, run_id: str = "0123456789ab", *, start: datetime = EPOCH) -> None:
        self.run_id = run_id
        self._now = start

    def event(
        self,
        type_: EventType,
        step: str | None = None,
        item: int | None = None,
        attempt: int | None = None,
        **data: Any,
    ) -> Event:
        self._now += timedelta(seconds=1)
        return Event(self.run_id, type_, self._now, step, item, attempt, data)

    def created(self, *steps: str, workflow: str = "demo", digest: str = "d1", **data: Any) -> Event:
        plan = [
            {"id": step, "name": step.upper(), "type": "sequential", "ordinal": number, "depends_on": []}
            for number, step in enumerate(steps or ("one",))
        ]
        return self.event(
            EventType.RUN_CREATED,
            **{
                "workflow": workflow,
                "digest": digest,
                "document": f"name: {workflow}",
                "params": {},
                "backend": "memory",
                "state": {},
                "plan": plan,
                **data,
            },
        )

    def run(self, old: str, new: str, **data: Any) -> Event:
        types = {"running": EventType.RUN_STARTED, "cancelling": EventType.RUN_CANCELLING}
        return self.event(types.get(new, EventType.RUN_FINISHED), old=old, status=new, **data)

    def step(self, step: str, old: str, new: str, **data: Any) -> Event:
        types = {"running": EventType.STEP_STARTED, "retrying": EventType.STEP_RETRYING}
        return self.event(types.get(new, EventType.STEP_FINISHED), step, old=old, status=new, **data)

    def item(self, step: str, item: int, old: str, new: str, **data: Any) -> Event:
        types = {"running": EventType.ITEM_STARTED, "retrying": EventType.ITEM_RETRYING}
        return self.event(types.get(new, EventType.ITEM_FINISHED), step, item, old=old, status=new, **data)

    def expanded(self, step: str, *values: Any) -> Event:
        return self.event(EventType.STEP_EXPANDED, step, values=list(values), workers=False)

    def attempt_created(self, step: str, number: int = 1, item: int | None = None, **data: Any) -> Event:
        unit = step if item is None else f"{step}.{item}"
        return self.event(
            EventType.ATTEMPT_CREATED,
            step,
            item,
            number,
            **{
                "task_id": f"task-{self.run_id}-{unit}-{number}",
                "agent": f"agent-{self.run_id}-{unit}-{number}",
                "backend": "memory",
                "image": "busybox",
                "command": ["true"],
                "log": f"{self.run_id}/{unit}.{number}.log",
                "spec_digest": "abc",
                **data,
            },
        )

    def attempt(
        self, step: str, old: str, new: str, *, number: int = 1, item: int | None = None, **data: Any
    ) -> Event:
        type_ = EventType.ATTEMPT_STARTED if new == "running" else EventType.ATTEMPT_FINISHED
        return self.event(type_, step, item, number, old=old, status=new, **data)

    def agent_removed(self, step: str, number: int = 1, item: int | None = None) -> Event:
        unit = step if item is None else f"{step}.{item}"
        agent = f"agent-{self.run_id}-{unit}-{number}"
        return self.event(EventType.AGENT_REMOVED, step, item, number, agent=agent, by="cleanup")

    def warning(self, message: str = "careful") -> Event:
        return self.event(EventType.WARNING, message=message)

    def whole(self, *, status: str = "completed", workflow: str = "demo", **data: Any) -> list[Event]:
        """A run of one step, from its creation to its end."""
        return [
            self.created("one", workflow=workflow, **data),
            self.run("pending", "running"),
            self.step("one", "pending", "running"),
            self.attempt_created("one"),
            self.attempt("one", "pending", "running", agent_id="id"),
            self.attempt("one", "running", status, exit_code=0 if status == "completed" else 1, kept=False),
            self.step("one", "running", status, result={"n": 1}, changes={"set": {"n": 1}, "removed": []}),
            self.run("running", status),
        ]
