"""The moves of a step or an item, as the events that tell them."""

from __future__ import annotations

from typing import Any

from engine.events import Event, EventType, StepStatus
from engine.history.records import Remembered
from engine.orchestrator.context import RunContext
from engine.orchestrator.outcome import Outcome
from engine.orchestrator.states import check_step_move


class Track:
    """The moves of one step or one item: makes their events and knows where it stands."""

    def __init__(
        self, run: RunContext, step_id: str, item: int | None = None, status: StepStatus = StepStatus.PENDING
    ) -> None:
        self._run = run
        self._step_id = step_id
        self._item = item
        self._since: float | None = None  # monotonic, of this engine: unknown after a recovery
        self.status = status

    @property
    def _started(self) -> EventType:
        return EventType.STEP_STARTED if self._item is None else EventType.ITEM_STARTED

    @property
    def _retrying(self) -> EventType:
        return EventType.STEP_RETRYING if self._item is None else EventType.ITEM_RETRYING

    @property
    def _finished(self) -> EventType:
        return EventType.STEP_FINISHED if self._item is None else EventType.ITEM_FINISHED

    def started(self) -> tuple[Event, ...]:
        """The event of starting; none if it runs already (a platform failure is tried again in place)."""
        if self._since is None and self.status is StepStatus.PENDING:
            self._since = self._run.services.clock.monotonic()
        return () if self.status is StepStatus.RUNNING else (self._move(self._started, StepStatus.RUNNING),)

    def retrying(self, outcome: Outcome, delay: float, next_attempt_at: str) -> Event:
        """The event of waiting for the next try; `delay` in seconds."""
        return self._move(
            self._retrying,
            StepStatus.RETRYING,
            delay=delay,
            next_attempt_at=next_attempt_at,
            reason=outcome.reason,
            error=outcome.error,
        )

    def finished(self, outcome: Outcome, **data: Any) -> Event:
        """The event of the end."""
        return self._move(
            self._finished,
            outcome.status,
            reason=outcome.reason,
            error=outcome.error,
            result=outcome.result,
            exit_code=outcome.exit_code,
            artifacts=[artifact.to_json() for artifact in outcome.artifacts] or None,
            cache_key=outcome.cache_key,
            reused=outcome.remembered is not None or None,
            partial=outcome.partial or None,
            cached_from=outcome.remembered and _place(outcome.remembered),
            duration=self._run.elapsed(self._since),
            **data,
        )

    def _move(self, type_: EventType, new: StepStatus, **data: Any) -> Event:
        check_step_move(self.status, new)
        event = self._run.event(
            type_, self._step_id, self._item, old=self.status.value, status=new.value, **data
        )
        self.status = new
        if self._item is None:
            self._run.standing[self._step_id] = new
        return event


def _place(remembered: Remembered) -> dict[str, Any]:
    place = {"run_id": remembered.run_id, "step_id": remembered.step_id, "item": remembered.item}
    return {key: value for key, value in place.items() if value is not None}
