"""What a run and the runs within it did and when, read out of their events.

All times are seconds since the run that is looked at started. What is not over ends now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.events import TERMINAL_STEP, Event, EventType, StepStatus
from engine.metrics.timeline import happened_at

_OVER = frozenset(status.value for status in TERMINAL_STEP)
_ROLES = ("main", "on_failure", "finally")


@dataclass(slots=True)
class AttemptSpan:
    """One attempt; `started` None if it never ran. `open` while it is not over."""

    run_id: str
    step_id: str
    item: int | None
    number: int
    created: float
    end: float
    started: float | None = None
    open: bool = True
    status: str = StepStatus.PENDING.value
    reason: str | None = None
    image: str | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    samples: Mapping[str, Any] | None = None
    child_run: str | None = None
    pool: str | None = None
    warm: bool = False
    cleanup: float = 0.0


@dataclass(slots=True)
class UnitSpan:
    """A step, or an item of one (`item`), from when nothing but room was in its way (`ready`) to its end."""

    run_id: str
    step_id: str
    item: int | None = None
    ready: float = 0.0
    end: float = 0.0
    started: float | None = None
    open: bool = True
    status: str = StepStatus.PENDING.value
    reason: str | None = None
    error: str | None = None
    reused: bool = False
    attempts: list[AttemptSpan] = field(default_factory=list)
    # what it said it waits for, and since when
    waits: list[tuple[float, str]] = field(default_factory=list)


@dataclass(slots=True)
class StepSpan(UnitSpan):
    """A step; its items are there once it `expanded`, its members are steps whose `parent` it is."""

    name: str = ""
    type: str = "sequential"
    ordinal: int = 0
    depends_on: tuple[str, ...] = ()
    parent: str | None = None
    role: str = "main"
    expanded: float | None = None
    items: list[UnitSpan] = field(default_factory=list)
    members: list[StepSpan] = field(default_factory=list)

    @property
    def units(self) -> Iterator[UnitSpan]:
        """What its attempts are attempts at: its items, or itself."""
        if self.items:
            yield from self.items
        else:
            yield self

    @property
    def worked(self) -> bool:
        """Whether it did, or waited for, anything of its own."""
        inner = any(member.worked for member in self.members)
        return inner or bool(self.attempts or self.items) or (self.started is not None and not self.reused)


@dataclass(slots=True)
class RunSpan:
    """One run. `away` are times in which no engine was there for it."""

    id: str
    workflow: str = ""
    status: str = "pending"
    reason: str | None = None
    created: float = 0.0
    started: float | None = None
    end: float = 0.0
    settled: float | None = None
    open: bool = True
    steps: dict[str, StepSpan] = field(default_factory=dict)
    away: list[tuple[float, float]] = field(default_factory=list)

    @property
    def begin(self) -> float:
        """When it started, or was made."""
        return self.created if self.started is None else self.started

    @property
    def top(self) -> list[StepSpan]:
        """Its steps that are in no other."""
        return [step for step in self.steps.values() if step.parent not in self.steps]


def read_spans(events: Sequence[Event], root: str, now: float | None = None) -> dict[str, RunSpan]:
    """The spans of a run and of those within it.

    Args:
        events: of all of them, in the order of the journal.
        root: the run that is looked at.
        now: wall time, seconds since the epoch; where something is not over, it ends then.
    """
    times = _since_start(events, root)
    runs: dict[str, RunSpan] = {}
    last: dict[str, float] = {}
    for event, time in zip(events, times, strict=True):
        run = runs.setdefault(event.run_id, RunSpan(event.run_id, created=time))
        if event.type is EventType.RUN_RECOVERED:
            run.away.append((last.get(event.run_id, time), time))
        _note(run, event, time)
        last[event.run_id] = time
    end = times[-1] if times else 0.0
    if now is not None and events:
        end = max(end, end + now - events[-1].time.timestamp())
    for run in runs.values():
        _end_open(run, end)
        _place(run)
    return runs


def _since_start(events: Sequence[Event], root: str) -> list[float]:
    """When each happened, counted from the start of `root`; before it, from its making."""
    times = happened_at(events)
    of_root = [(event.type, time) for event, time in zip(events, times, strict=True) if event.run_id == root]
    zero = next((time for type_, time in of_root if type_ is EventType.RUN_STARTED), None)
    if zero is None:
        zero = of_root[0][1] if of_root else 0.0
    return [time - zero for time in times]


def _note(run: RunSpan, event: Event, time: float) -> None:
    if event.step_id is not None:
        if (step := run.steps.get(event.step_id)) is not None:
            _note_step(step, event, time)
    elif event.type is EventType.RUN_CREATED:
        run.workflow = str(event.data.get("workflow", ""))
        for planned in event.data.get("plan") or ():
            run.steps[planned["id"]] = StepSpan(
                run.id,
                planned["id"],
                name=str(planned.get("name") or planned["id"]),
                type=str(planned.get("type", "")),
                ordinal=planned.get("ordinal", 0),
                depends_on=tuple(planned.get("depends_on") or ()),
                parent=planned.get("parent"),
                role=planned.get("role") or "main",
            )
    elif event.type is EventType.RUN_STARTED:
        run.started = time if run.started is None else run.started
        run.status = "running"
    elif event.type is EventType.RUN_CANCELLING:
        run.status = "cancelling"
    elif event.type is EventType.RUN_SETTLED:
        run.settled = time
    elif event.type is EventType.RUN_FINISHED:
        run.status, run.reason = str(event.data.get("status")), event.data.get("reason")
        run.end, run.open = time, False


def _note_step(step: StepSpan, event: Event, time: float) -> None:
    if event.attempt is not None:
        _note_attempt(_unit(step, event.item), event, time)
    elif event.type is EventType.STEP_EXPANDED:
        step.expanded = time
        step.items = [
            UnitSpan(step.run_id, step.step_id, number, ready=time)
            for number in range(len(event.data.get("values") or ()))
        ]
    elif event.type is EventType.STEP_WAITING:
        _unit(step, event.item).waits.append((time, str(event.data.get("why"))))
    else:
        _note_unit(_unit(step, event.item), event, time)


def _unit(step: StepSpan, item: int | None) -> UnitSpan:
    return step if item is None or item >= len(step.items) else step.items[item]


def _note_unit(unit: UnitSpan, event: Event, time: float) -> None:
    if event.type in (EventType.STEP_STARTED, EventType.ITEM_STARTED):
        unit.started = time if unit.started is None else unit.started
    if (status := event.data.get("status")) is not None:
        unit.status = str(status)
        unit.reason, unit.error = event.data.get("reason"), event.data.get("error")
        unit.reused = bool(event.data.get("reused"))
    if unit.status in _OVER:
        unit.end, unit.open = time, False


def _note_attempt(unit: UnitSpan, event: Event, time: float) -> None:
    data = event.data
    if event.type is EventType.ATTEMPT_CREATED:
        attempt = AttemptSpan(unit.run_id, unit.step_id, unit.item, event.attempt or 1, time, time)
        attempt.image, attempt.child_run = data.get("image"), data.get("child_run")
        attempt.pool = data.get("pool")
        unit.attempts.append(attempt)
        return
    found = next((one for one in reversed(unit.attempts) if one.number == event.attempt), None)
    if found is None:
        return
    if event.type is EventType.ATTEMPT_STARTED:
        found.started, found.status = time, StepStatus.RUNNING.value
        placement = data.get("placement") or {}
        found.warm = placement.get("mode") not in (None, "cold") and bool(placement.get("reused"))
    elif event.type is EventType.ATTEMPT_SAMPLED:
        found.samples = data
    elif event.type is EventType.ATTEMPT_FINISHED:
        found.end, found.open = time, False
        found.status, found.reason = str(data.get("status")), data.get("reason")
        found.phases, found.usage = data.get("phases") or {}, data.get("usage") or {}
    elif event.type is EventType.AGENT_REMOVED:
        found.cleanup += data.get("took") or 0.0


def _end_open(run: RunSpan, now: float) -> None:
    """What is not over ends now, or with its run."""
    end = run.end = now if run.open else run.end
    for step in run.steps.values():
        for unit in (step, *step.items):
            if unit.open:
                unit.end = end
            for number, attempt in enumerate(unit.attempts):
                if attempt.open and number < len(unit.attempts) - 1:
                    # Its end is not in the journal, but another try began: it was over by then.
                    attempt.end, attempt.open = unit.attempts[number + 1].created, False
                elif attempt.open:
                    attempt.end = end


def _place(run: RunSpan) -> None:
    """When steps were ready, and which are within which."""
    for step in run.steps.values():
        if step.parent in run.steps:
            run.steps[step.parent].members.append(step)
    settled = run.settled if run.settled is not None else run.begin
    for step in run.steps.values():
        parent = run.steps.get(step.parent or "")
        ready = run.begin if step.role == "main" else settled
        if parent is not None and parent.started is not None:
            ready = parent.started
        ends = [run.steps[name].end for name in step.depends_on if name in run.steps]
        ready = max([ready, *ends])
        first = min([step.end, *([] if step.started is None else [step.started])])
        step.ready = min(ready, first)


def role_rank(role: str) -> int:
    """Which roles have their turn first."""
    return _ROLES.index(role) if role in _ROLES else 0
