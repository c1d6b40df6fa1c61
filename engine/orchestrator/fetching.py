"""Says now and then how far the image of a task is, while it is being fetched."""

from __future__ import annotations

import asyncio
from types import TracebackType

from engine.agents.backend import AgentSpec
from engine.events import EventType
from engine.orchestrator.attempt import Unit
from engine.orchestrator.context import RunContext

# Seconds until it is worth a word, between two words, and how much has to have changed in between: each is
# an event in the journal.
_FIRST, _EVERY, _PERCENT = 1.0, 2.0, 5


class FetchNotes:
    """Around the getting of an image. It costs a timer, which most of the time is never due."""

    def __init__(self, run: RunContext, unit: Unit, spec: AgentSpec) -> None:
        self._run = run
        self._unit = unit
        self._image = spec.image
        self._told: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        if self._image is not None:
            self._timer = asyncio.get_running_loop().call_later(_FIRST, self._note)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _note(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_EVERY, self._note)
        percent = self._run.services.backend.fetched(self._image or "")
        if percent is None or (self._told is not None and percent < self._told + _PERCENT):
            return
        self._told = percent
        step, item = self._unit.step.id, self._unit.item
        kind = EventType.STEP_WAITING
        self._run.record(self._run.event(kind, step, item, why="image", image=self._image, percent=percent))
