"""How many runs of one workflow are active at once; the others wait their turn, first come, first served."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Place:
    """One run's place in the queue of its workflow.

    Attributes:
        run_id: the run.
        workflow: its name; every run of that name counts, whatever its document.
        limit: active runs of the workflow, this one included, beyond which it waits; 0 = it never waits.
        ancestors: the runs that it is a part of. They wait for it, so it never waits for them.
        scheduled: whether the workflow's schedule started it.
        alone: whether it waits for those that the schedule started before.
        turn: set once it may start.
    """

    run_id: str
    workflow: str
    limit: int = 0
    ancestors: frozenset[str] = frozenset()
    scheduled: bool = False
    alone: bool = False
    turn: asyncio.Event = field(default_factory=asyncio.Event)


class RunQueue:
    """Knows which runs are active, and lets those that wait start when there is room."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._active: defaultdict[str, dict[str, Place]] = defaultdict(dict)
        self._waiting: defaultdict[str, dict[str, Place]] = defaultdict(dict)
        self._parts_waiting: Counter[str] = Counter()  # of each run, how many parts of it wait

    def enter(
        self,
        run_id: str,
        workflow: str,
        *,
        limit: int = 0,
        parent: str | None = None,
        scheduled: bool = False,
        alone: bool = False,
        begun: bool = False,
    ) -> None:
        """Give a run its place; see `Place`.

        A run that has `begun` already, under an engine before this one, counts at once and never waits.
        """
        if run_id in self._places:  # taken when this engine started
            return
        place = Place(run_id, workflow, limit, self._ancestors(parent), scheduled, alone)
        self._places[run_id] = place
        if begun or self._has_room(place):
            self._start(place)
        else:
            self._waiting[workflow][run_id] = place
            self._parts_waiting.update(place.ancestors)

    def leave(self, run_id: str) -> None:
        """A run is over, or will not start: those behind it move up."""
        place = self._places.pop(run_id, None)
        if place is None:
            return
        self._active[place.workflow].pop(run_id, None)
        self._stop_waiting(place)
        self._move_up(place.workflow)
        # What was a part of it cannot outlive it; places that were only reserved have nobody else to leave.
        for part in [other for other in self._places.values() if run_id in other.ancestors]:
            self.leave(part.run_id)

    def withdraw(self, run_id: str) -> None:
        """Take a run that waits out of the queue: it may go on at once, only to end."""
        place = self._places.get(run_id)
        if place is not None and self._stop_waiting(place):
            place.turn.set()
            self._move_up(place.workflow)

    async def turn(self, run_id: str) -> None:
        """Wait until a run may start."""
        await self._places[run_id].turn.wait()

    def is_waiting(self, run_id: str) -> bool:
        """Whether a run has not had its turn yet."""
        place = self._places.get(run_id)
        return place is not None and run_id in self._waiting[place.workflow]

    def waits_in_vain_for(self, run_id: str) -> str | None:
        """The run whose end one waits for, though that cannot end before this one; None if there is none.

        Such a circle closes when a part of a run begins to wait, so that is when to ask.
        """
        place = self._places.get(run_id)
        if place is None or not self.is_waiting(run_id):
            return None
        ahead = self._active[place.workflow].keys() - place.ancestors
        if not any(map(self._parts_waiting.get, ahead)):
            return None
        going = set[str]()
        while more := {one.run_id for one in self._still_waiting(going) if self._will_go(one, going)}:
            going |= more
        if run_id in going:
            return None
        return next(other for other in ahead if not self._will_end(other, going))

    def scheduled(self, workflow: str) -> tuple[list[str], list[str]]:
        """The runs that a workflow's schedule has started: those that are active, those that wait."""
        places = self._active[workflow].values(), self._waiting[workflow].values()
        active, waiting = ([place.run_id for place in some if place.scheduled] for some in places)
        return active, waiting

    # -- inside ---------------------------------------------------------------------------------------

    def _ancestors(self, parent: str | None) -> frozenset[str]:
        if parent is None:
            return frozenset()
        above = self._places.get(parent)
        return frozenset({parent}) | (above.ancestors if above is not None else frozenset())

    def _has_room(self, place: Place) -> bool:
        if self._is_behind_schedule(place):
            return False
        if not place.limit:
            return True
        active = self._active[place.workflow].keys()
        own = active & place.ancestors
        if len(active) - len(own) >= place.limit:
            return False
        # A part of an active run goes before those that wait for that run's end.
        return bool(own) or not self._is_behind_others(place)

    def _is_behind_schedule(self, place: Place) -> bool:
        return place.alone and any(other.scheduled for other in self._active[place.workflow].values())

    def _is_behind_others(self, place: Place) -> bool:
        """Whether one waits for room that came before."""
        for other in self._waiting[place.workflow].values():
            if other is place:
                return False
            if not self._is_behind_schedule(other):
                return True
        return False

    def _start(self, place: Place) -> None:
        self._active[place.workflow][place.run_id] = place
        place.turn.set()

    def _stop_waiting(self, place: Place) -> bool:
        if self._waiting[place.workflow].pop(place.run_id, None) is None:
            return False
        self._parts_waiting.subtract(place.ancestors)
        for ancestor in place.ancestors:
            if not self._parts_waiting[ancestor]:
                del self._parts_waiting[ancestor]
        return True

    def _still_waiting(self, going: set[str]) -> list[Place]:
        return [p for some in self._waiting.values() for p in some.values() if p.run_id not in going]

    def _will_end(self, run_id: str, going: set[str]) -> bool:
        """Whether an active run comes to its end once those in `going` have had their turn."""
        if not self._parts_waiting.get(run_id):
            return True
        return all(run_id not in place.ancestors for place in self._still_waiting(going))

    def _will_go(self, place: Place, going: set[str]) -> bool:
        """Whether a place has its turn once those in `going` have had theirs."""
        stay = [
            self._places[run_id]
            for run_id in self._active[place.workflow].keys() - place.ancestors
            if not self._will_end(run_id, going)
        ]
        if place.alone and any(other.scheduled for other in stay):
            return False
        return not place.limit or len(stay) < place.limit

    def _move_up(self, workflow: str) -> None:
        for place in list(self._waiting[workflow].values()):
            if self._has_room(place):
                self._stop_waiting(place)
                self._start(place)
