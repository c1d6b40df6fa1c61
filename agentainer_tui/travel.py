"""Going back and forth through a run's events: which frame is shown, and what has to be read for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from agentainer_tui.timeline import Frame, Timeline
from engine.events import Event

# Events read at a time: at first, and of those that come meanwhile.
_PAGE, _PORTION = 1_000, 100

Read = Callable[[int, int], Awaitable[Sequence[Event]]]
Move = Callable[[Timeline, int], int]


def step(by: int) -> Move:
    """By events."""
    return lambda timeline, place: place + by


def stride(by: int) -> Move:
    """To the next (`by` 1) or the last (-1) change of a step, or failure."""
    return lambda timeline, place: timeline.landmark(place, by)


def jump(place: int) -> Move:
    """To a place; 1 is the first event."""
    return lambda timeline, _: place


def part(fraction: float) -> Move:
    """To a part of the events, from 0 to 1."""
    return lambda timeline, _: 1 + round(fraction * (len(timeline) - 1))


def moment(time: float) -> Move:
    """To the last event that had happened at a time."""
    return lambda timeline, _: timeline.at(time)


class Traveller:
    """The place of one screen in one run's events; live, it has no frame.

    `read(after, limit)` reads events. `frame` changes at once when what a move needs is at hand, else with
    the next `go`.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._timeline: Timeline | None = None
        self._moves: list[Move] = []
        self.frame: Frame | None = None
        self.taken = 0  # events read so far

    @property
    def timeline(self) -> Timeline | None:
        """The frames that there are; None as long as nothing was read."""
        return self._timeline

    @property
    def is_away(self) -> bool:
        """Whether the past is shown, or is being read."""
        return self.frame is not None or bool(self._moves)

    def ask(self, move: Move) -> bool:
        """Make a move; False if something has to be read first, by `go`."""
        self._moves.append(move)
        return self._timeline is not None and len(self._moves) == 1 and self._settle()

    def back(self) -> None:
        """Go to the present."""
        self._moves.clear()
        self.frame = None

    async def go(self, progress: Callable[[], None] = lambda: None) -> None:
        """Read what the moves need that were asked for, and make them."""
        if self._timeline is None:
            timeline = Timeline()
            while page := await self._read(timeline.last_seq, _PAGE):
                await asyncio.to_thread(timeline.extend, page)  # nobody else has it yet
                self.taken = len(timeline)
                progress()
            self._timeline = timeline
        while self._moves and not self._settle():
            wanted = self._timeline.stretch(self._target(self._timeline))
            if wanted is not None:
                self._timeline.hold(wanted.number, await self._read(wanted.after, wanted.limit))

    async def catch_up(self) -> None:
        """Take the events that came meanwhile."""
        if self._timeline is None:
            return
        while page := await self._read(self._timeline.last_seq, _PORTION):
            self._timeline.extend(page)
        if self.frame is not None:
            self.frame = self._timeline.counted(self.frame)

    def _settle(self) -> bool:
        """Make the moves that were asked for; False if the frame they lead to cannot be made yet."""
        timeline = self._timeline
        if timeline is None:
            return False
        target = self._target(timeline)
        if target >= len(timeline):
            self.back()  # the last frame is the present
            return True
        if timeline.stretch(target) is not None:
            return False
        self._moves.clear()
        self.frame = timeline.frame(target)
        return True

    def _target(self, timeline: Timeline) -> int:
        place = len(timeline) if self.frame is None else self.frame.place
        for move in self._moves:
            place = max(1, min(move(timeline, place), len(timeline)))
        return place
