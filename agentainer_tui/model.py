"""The reducer: a run's events become the frozen views of `views.py`; live and replay use the same one.

`reduce_all(view, events)` takes a whole batch and copies the containers it changes once per batch, so a run
of a thousand steps or a map of ten thousand items costs the same per event as a small one. Nothing here
knows Textual or the engine's rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from agentainer_tui.views import (
    NO_WAIT,
    ArtifactView,
    AttemptView,
    ItemView,
    Origin,
    RouteView,
    RunView,
    StepView,
    Wait,
    seconds,
)
from engine.events import Event, EventType, RunStatus, StepStatus


def reduce(view: RunView | None, event: Event) -> RunView:
    """The view after one more event. Events at or before `view.seq` change nothing."""
    return reduce_all(view, (event,)) or RunView(event.run_id)


def reduce_all(view: RunView | None, events: Iterable[Event]) -> RunView | None:
    """The view after a batch of events of one run, in journal order; equal to reducing them one by one."""
    draft: _Draft | None = None
    for event in events:
        if draft is None:
            draft = _Draft(view or RunView(event.run_id))
        if not event.seq or event.seq > draft.seq:
            draft.take(event)
    return draft.freeze() if draft is not None else view


class _Draft:
    """A view being changed by one batch: every container is copied at most once, at its first change."""

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._changes: dict[str, Any] = {}
        self._steps: dict[str, StepView] | None = None
        self._items: dict[str, list[ItemView]] = {}
        self._tallies: dict[str, dict[StepStatus, int]] = {}
        self._tally: dict[StepStatus, int] | None = None
        self._state: dict[str, Any] | None = None
        self.seq = view.seq

    def take(self, event: Event) -> None:
        """Apply one event; types this version does not know change only the sequence number."""
        handler = _HANDLERS.get(event.type)
        if handler is not None:
            handler(self, event, event.data)
        self.seq = max(self.seq, event.seq)

    def freeze(self) -> RunView:
        """The view after all events taken."""
        for step_id, items in self._items.items():
            step = self._step(step_id)
            self._put(replace(step, items=tuple(items), tally=self._tallies.get(step_id, step.tally)))
        if self._steps is not None:
            self._changes["steps"] = self._steps
        if self._tally is not None:
            self._changes["tally"] = self._tally
        if self._state is not None:
            self._changes["state"] = self._state
        return replace(self._view, seq=self.seq, **self._changes)

    # -- the run --------------------------------------------------------------------------------------

    def created(self, event: Event, data: Mapping[str, Any]) -> None:
        """The plan: every step is there from now on, pending."""
        steps = [_step_of(entry) for entry in data.get("plan", ())]
        self._steps = {step.id: step for step in steps}
        self._tally = {StepStatus.PENDING: len(steps)} if steps else {}
        self._state = dict(data.get("state") or {})
        self._changes.update(
            workflow=data.get("workflow", ""),
            path=data.get("path") or "",
            digest=data.get("digest", ""),
            params=dict(data.get("params") or {}),
            backend=data.get("backend") or "",
            source=data.get("source") or "",
            retry_of=data.get("retry_of") or "",
            parent=_origin_of(data.get("parent")),
            metadata=dict(data.get("metadata") or {}),
            env_files=tuple(data.get("env_files") or ()),
            scheduled_for=seconds(data.get("scheduled_for")),
            created_at=event.time.timestamp(),
            created_seq=event.seq,
        )

    def queued(self, event: Event, data: Mapping[str, Any]) -> None:
        """It waits for other runs of its workflow."""
        self._changes["queued"] = data.get("why") or "max_active_runs"

    def settled(self, event: Event, data: Mapping[str, Any]) -> None:
        """Its own steps are over; those that follow every run have their turn."""
        self._changes["settled"] = RunStatus(data["status"])

    def moved(self, event: Event, data: Mapping[str, Any]) -> None:
        """`run.started`, `run.cancelling`, `run.finished`."""
        status = RunStatus(data["status"])
        self._changes["status"] = status
        self._changes["queued"] = ""
        if event.type is EventType.RUN_STARTED:
            self._changes["started_at"] = event.time.timestamp()
        if status.is_terminal:
            self._changes["finished_at"] = event.time.timestamp()
            self._changes["reason"] = data.get("reason") or ""
            self._changes["error"] = data.get("error") or ""

    def recovered(self, event: Event, data: Mapping[str, Any]) -> None:
        """Another engine took the run over after a crash."""
        self._changes["recoveries"] = data.get("recoveries", self._view.recoveries + 1)

    def warned(self, event: Event, data: Mapping[str, Any]) -> None:
        """A warning, kept with the run."""
        known = self._changes.get("warnings", self._view.warnings)
        self._changes["warnings"] = (*known, (event.step_id, str(data.get("message", ""))))

    # -- steps and items ------------------------------------------------------------------------------

    def started(self, event: Event, data: Mapping[str, Any]) -> None:
        """A step or item runs (again)."""
        status = StepStatus(data.get("status", StepStatus.RUNNING))
        node = self._node(event)
        begun = node.started_at if node.started_at is not None else event.time.timestamp()
        self._change(event, status=status, started_at=begun, waiting=NO_WAIT, next_attempt_at=None)

    def waits(self, event: Event, data: Mapping[str, Any]) -> None:
        """It could go on, but something is missing: a slot, the image, an answer, some time."""
        percent = data.get("percent")
        detail = str(data.get("message") or data.get("pool") or ("" if percent is None else f"{percent} %"))
        wait = Wait(data.get("why", ""), detail, seconds(data.get("due")), data.get("default"))
        self._change(event, waiting=wait)

    def expanded(self, event: Event, data: Mapping[str, Any]) -> None:
        """The items of a step are known."""
        step_id = event.step_id or ""
        values = data.get("values", ())
        self._items[step_id] = [ItemView(index, value) for index, value in enumerate(values)]
        self._tallies[step_id] = {StepStatus.PENDING: len(values)} if values else {}
        self._put(replace(self._step(step_id), workers=bool(data.get("workers"))))

    def retrying(self, event: Event, data: Mapping[str, Any]) -> None:
        """A try failed; the next one has a time."""
        self._change(
            event,
            status=StepStatus.RETRYING,
            reason=data.get("reason") or "",
            error=data.get("error") or "",
            next_attempt_at=seconds(data.get("next_attempt_at")),
            waiting=NO_WAIT,
        )

    def finished(self, event: Event, data: Mapping[str, Any]) -> None:
        """It is over; a step also says what it did to the shared state."""
        self._change(
            event,
            status=StepStatus(data["status"]),
            reason=data.get("reason") or "",
            error=data.get("error") or "",
            result=data.get("result"),
            exit_code=data.get("exit_code"),
            reused=bool(data.get("reused")),
            partial=bool(data.get("partial")),
            cached_from=_origin_of(data.get("cached_from")),
            artifacts=tuple(
                ArtifactView(str(each["name"]), each.get("size") or 0) for each in data.get("artifacts") or ()
            ),
            finished_at=event.time.timestamp(),
            waiting=NO_WAIT,
            next_attempt_at=None,
        )
        changes = data.get("changes")
        if event.item is None:
            self._change(event, changes=changes or {}, finished_seq=event.seq)
        if changes:
            if self._state is None:
                self._state = dict(self._view.state)
            self._state.update(changes.get("set") or {})
            for key in changes.get("removed") or ():
                self._state.pop(key, None)

    # -- attempts -------------------------------------------------------------------------------------

    def attempt_created(self, event: Event, data: Mapping[str, Any]) -> None:
        """One more try, never written over an earlier one."""
        attempt = AttemptView(
            number=event.attempt or 0,
            task_id=data.get("task_id", ""),
            agent=data.get("agent", ""),
            backend=data.get("backend", ""),
            image=data.get("image") or "",
            log=data.get("log") or "",
            created_seq=event.seq,
            created_at=event.time.timestamp(),
            child_run=data.get("child_run") or "",
            env=data.get("env") or {},
            pool=data.get("pool") or "",
        )
        others = tuple(known for known in self._node(event).attempts if known.number != attempt.number)
        self._change(event, attempts=(*others, attempt), waiting=Wait("start"))

    def attempt_started(self, event: Event, data: Mapping[str, Any]) -> None:
        """Its agent runs."""
        self._change_attempt(
            event,
            status=StepStatus(data.get("status", StepStatus.RUNNING)),
            started_at=event.time.timestamp(),
            agent_id=data.get("agent_id") or "",
            placement=data.get("placement") or {},
            image_id=data.get("image_id") or "",
        )
        self._change(event, waiting=NO_WAIT)

    def attempt_finished(self, event: Event, data: Mapping[str, Any]) -> None:
        """Its agent is done, with what it said."""
        self._change_attempt(
            event,
            status=StepStatus(data["status"]),
            reason=data.get("reason") or "",
            error=data.get("error") or "",
            exit_code=data.get("exit_code"),
            kept=bool(data.get("kept")),
            phases=data.get("phases") or {},
            usage=data.get("usage") or {},
            finished_at=event.time.timestamp(),
        )
        self._change(event, waiting=NO_WAIT)

    def agent_removed(self, event: Event, data: Mapping[str, Any]) -> None:
        """Nothing is left of the attempt's agent."""
        if event.step_id and event.attempt:
            self._change_attempt(event, kept=False, removed_by=data.get("by") or "")

    # -- containers -----------------------------------------------------------------------------------

    def _step(self, step_id: str) -> StepView:
        steps = self._view.steps if self._steps is None else self._steps
        return steps.get(step_id) or StepView(step_id, step_id, ordinal=len(steps))

    def _put(self, step: StepView) -> None:
        if self._steps is None:
            self._steps = dict(self._view.steps)
        self._steps[step.id] = step

    def _item_list(self, step_id: str, index: int) -> list[ItemView]:
        if step_id not in self._items:
            step = self._step(step_id)
            self._items[step_id] = list(step.items)
            self._tallies[step_id] = dict(step.tally)
        items = self._items[step_id]
        while len(items) <= index:
            items.append(ItemView(len(items)))
        return items

    def _node(self, event: Event) -> StepView | ItemView:
        step_id = event.step_id or ""
        if event.item is None:
            return self._step(step_id)
        return self._item_list(step_id, event.item)[event.item]

    def _change(self, event: Event, **changes: Any) -> None:
        node = self._node(event)
        step_id = event.step_id or ""
        status = changes.get("status")
        if isinstance(node, ItemView):
            self._items[step_id][node.index] = replace(node, **changes)
            if status is not None:
                _recount(self._tallies[step_id], node.status, status)
            return
        if status is not None:
            if self._tally is None:
                self._tally = dict(self._view.tally)
            _recount(self._tally, node.status, status)
        self._put(replace(node, **changes))

    def _change_attempt(self, event: Event, **changes: Any) -> None:
        attempts = list(self._node(event).attempts)
        for place, attempt in enumerate(attempts):
            if attempt.number == event.attempt:
                attempts[place] = replace(attempt, **changes)
                self._change(event, attempts=tuple(attempts))
                return


def _recount(tally: dict[StepStatus, int], old: StepStatus, new: StepStatus) -> None:
    left = tally.get(old, 0) - 1
    if left > 0:
        tally[old] = left
    else:
        tally.pop(old, None)
    tally[new] = tally.get(new, 0) + 1


def _step_of(entry: Mapping[str, Any]) -> StepView:
    command = entry.get("command") or ""
    return StepView(
        id=entry["id"],
        name=entry.get("name") or entry["id"],
        type=entry.get("type", "sequential"),
        ordinal=entry.get("ordinal", 0),
        depends_on=tuple(entry.get("depends_on") or ()),
        parent=entry.get("parent"),
        image=entry.get("image") or "",
        command=command if isinstance(command, str) else " ".join(map(str, command)),
        max_attempts=entry.get("max_attempts") or 0,
        max_concurrency=entry.get("max_concurrency") or 0,
        conditional=bool(entry.get("conditional")),
        role=entry.get("role") or "main",
        trigger=entry.get("trigger") or "",
        routes=tuple(
            RouteView(str(way["label"]), tuple(way.get("targets") or ()), way.get("workflow") or "")
            for way in entry.get("routes") or ()
        ),
        sub_workflow=entry.get("sub_workflow") or "",
        cached=bool(entry.get("cached")),
        agent=entry.get("agent") or {},
        item_alias=entry.get("item_alias") or "item",
    )


def _origin_of(data: Mapping[str, Any] | None) -> Origin | None:
    return Origin(data["run_id"], data["step_id"], data.get("item")) if data else None


_Handler = Callable[[_Draft, Event, Mapping[str, Any]], None]
_HANDLERS: Mapping[EventType, _Handler] = {
    EventType.RUN_CREATED: _Draft.created,
    EventType.RUN_QUEUED: _Draft.queued,
    EventType.RUN_STARTED: _Draft.moved,
    EventType.RUN_SETTLED: _Draft.settled,
    EventType.RUN_CANCELLING: _Draft.moved,
    EventType.RUN_FINISHED: _Draft.moved,
    EventType.RUN_RECOVERED: _Draft.recovered,
    EventType.WARNING: _Draft.warned,
    EventType.STEP_STARTED: _Draft.started,
    EventType.STEP_WAITING: _Draft.waits,
    EventType.STEP_EXPANDED: _Draft.expanded,
    EventType.STEP_RETRYING: _Draft.retrying,
    EventType.STEP_FINISHED: _Draft.finished,
    EventType.ITEM_STARTED: _Draft.started,
    EventType.ITEM_RETRYING: _Draft.retrying,
    EventType.ITEM_FINISHED: _Draft.finished,
    EventType.ATTEMPT_CREATED: _Draft.attempt_created,
    EventType.ATTEMPT_STARTED: _Draft.attempt_started,
    EventType.ATTEMPT_FINISHED: _Draft.attempt_finished,
    EventType.AGENT_REMOVED: _Draft.agent_removed,
}
