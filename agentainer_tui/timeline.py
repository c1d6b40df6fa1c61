"""The frames of a run: what its views were after each of its events. Pure; reading is done by others.

Frame n is the reduction of the first n events. Every so many frames one is kept (what views have in common
they share), and the events between are held for the places where someone looks, so that going back by one
costs the same in a run of a hundred events and of a hundred thousand.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from agentainer_tui.model import reduce_all
from agentainer_tui.views import RunView
from engine.events import Event, EventType, StepStatus

# Events from one kept frame to the next, and how many such stretches of events are held.
EVERY = 500
_HELD = 16
# From one frame to the next that is kept for a while, in the stretch where someone looks.
_NEAR = 25

_CHANGES = {
    EventType.RUN_CREATED,
    EventType.RUN_STARTED,
    EventType.RUN_RECOVERED,
    EventType.RUN_CANCELLING,
    EventType.RUN_SETTLED,
    EventType.RUN_FINISHED,
    EventType.STEP_STARTED,
    EventType.STEP_EXPANDED,
    EventType.STEP_RETRYING,
    EventType.STEP_FINISHED,
    EventType.ITEM_RETRYING,
    EventType.WARNING,
}


class Stretch(NamedTuple):
    """Events to read: at most `limit` that come after the one numbered `after`."""

    number: int
    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A run as it was after `place` of its `total` events, the last of them `event`, at the time `now`."""

    view: RunView
    place: int
    total: int
    event: Event
    now: float


def is_failure(event: Event) -> bool:
    """Whether something went wrong with this event."""
    return event.data.get("status") == StepStatus.FAILED or event.type in (
        EventType.STEP_RETRYING,
        EventType.ITEM_RETRYING,
    )


def is_landmark(event: Event) -> bool:
    """Whether it is worth a stop when going in large steps: a step changes, or something fails."""
    return event.type in _CHANGES or is_failure(event)


class Timeline:
    """Takes a run's events once, in order, and makes any frame of it again.

    `stretch` says which events have to be read (and given to `hold`) before a frame can be made.
    """

    def __init__(self, *, every: int = EVERY, held: int = _HELD) -> None:
        self._every = every
        self._most = held
        self._seqs = array("q")
        self._times = array("d")
        self._landmarks = array("q")  # places, rising
        self._failures = array("q")
        self._kept: list[RunView | None] = []  # frame number i * every
        self._held: OrderedDict[int, list[Event]] = OrderedDict()
        self._newest: RunView | None = None
        self._near: dict[int, RunView] = {}  # frames of one stretch, by place
        self._near_to = -1  # that stretch

    def __len__(self) -> int:
        return len(self._seqs)

    @property
    def last_seq(self) -> int:
        """The number of the newest event that was taken; 0 without any."""
        return self._seqs[-1] if self._seqs else 0

    # -- taking events --------------------------------------------------------------------------------

    def extend(self, events: Iterable[Event]) -> None:
        """Take further events; those that were taken already are left out."""
        batch: list[Event] = []
        for event in events:
            if event.seq <= self.last_seq:
                continue
            place = len(self._seqs)
            if place % self._every == 0:
                self._newest = reduce_all(self._newest, batch)
                batch = []
                self._kept.append(self._newest)
                self._keep(place // self._every, [])
            batch.append(event)
            self._note(event)
            held = self._held.get(place // self._every)
            if held is not None and len(held) == place % self._every:
                held.append(event)
        self._newest = reduce_all(self._newest, batch)

    def _note(self, event: Event) -> None:
        self._seqs.append(event.seq)
        self._times.append(event.time.timestamp())
        if is_landmark(event):
            self._landmarks.append(len(self._seqs))
        if is_failure(event):
            self._failures.append(len(self._seqs))

    def stretch(self, place: int) -> Stretch | None:
        """What has to be read before the frame at `place` can be made; None if nothing has to."""
        number = self._stretch_of(place)
        if len(self._held.get(number, ())) >= self._length(number):
            return None
        start = number * self._every
        return Stretch(number, self._seqs[start - 1] if start else 0, self._every)

    def hold(self, number: int, events: Sequence[Event]) -> None:
        """Take the events of a stretch again."""
        self._keep(number, list(events[: self._length(number)]))

    def _keep(self, number: int, events: list[Event]) -> None:
        self._held[number] = events
        self._held.move_to_end(number)
        while len(self._held) > self._most:
            self._held.popitem(last=False)

    def _stretch_of(self, place: int) -> int:
        return max(0, place - 1) // self._every

    def _length(self, number: int) -> int:
        return min(self._every, len(self) - number * self._every)

    # -- making frames --------------------------------------------------------------------------------

    def frame(self, place: int) -> Frame:
        """The frame at `place`, from 1 to the number of events.

        Raises:
            LookupError: there is no such frame, or its stretch is not held.
        """
        if not 1 <= place <= len(self):
            raise LookupError(place)
        number = self._stretch_of(place)
        events = self._held.get(number, [])
        start = number * self._every
        if len(events) < place - start:
            raise LookupError(place)
        self._held.move_to_end(number)
        view = self._made(number, place, events)
        return Frame(view, place, len(self), events[place - start - 1], self._times[place - 1])

    def _made(self, number: int, place: int, events: Sequence[Event]) -> RunView:
        """The view at a place, from the nearest that is kept before it."""
        start = number * self._every
        if number != self._near_to:
            self._near, self._near_to = {}, number
        at = max((near for near in self._near if near <= place), default=start)
        view = self._near.get(at, self._kept[number])
        while at < place:
            stop = min(place, start + ((at - start) // _NEAR + 1) * _NEAR)
            view = reduce_all(view, events[at - start : stop - start])
            at = stop
            if view is not None and (at - start) % _NEAR == 0:
                self._near[at] = view
        assert view is not None  # there is at least one event
        return view

    def counted(self, frame: Frame) -> Frame:
        """A frame that was made earlier, with the number of events that there are now."""
        return replace(frame, total=len(self))

    # -- finding places -------------------------------------------------------------------------------

    def landmark(self, place: int, by: int) -> int:
        """The next landmark after (`by` 1) or before (-1) a place; without one the last or first place."""
        if by > 0:
            found = bisect_right(self._landmarks, place)
            return self._landmarks[found] if found < len(self._landmarks) else len(self)
        found = bisect_left(self._landmarks, place) - 1
        return self._landmarks[found] if found >= 0 else min(1, len(self))

    def at(self, moment: float) -> int:
        """The place of the last event that had happened at a time; of the first one if none had."""
        return max(1, bisect_right(self._times, moment))

    def failures(self, first: int, last: int) -> int:
        """How many things went wrong from the frame at `first` to the one at `last`, both included."""
        return bisect_right(self._failures, last) - bisect_left(self._failures, first)
