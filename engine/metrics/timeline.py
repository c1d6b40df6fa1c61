"""When events happened, in seconds that only go forward.

Events carry wall times, and wall clocks are set: by people, by NTP, by a laptop that wakes. Those that end
something also say how long it took by the monotonic clock. Where the two disagree, the clock was set, and the
time that it jumped is taken out of the pause between two events in which it must have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from engine.events import Event, EventType

# What a step's start and end are called; their ends say how long it took.
_STARTS = {
    EventType.RUN_STARTED: "run",
    EventType.STEP_STARTED: "step",
    EventType.ITEM_STARTED: "item",
    EventType.ATTEMPT_STARTED: "attempt",
}
_ENDS = {
    EventType.RUN_FINISHED: "run",
    EventType.STEP_FINISHED: "step",
    EventType.ITEM_FINISHED: "item",
    EventType.ATTEMPT_FINISHED: "attempt",
}
# Clocks that are only slewed differ by less than this: seconds, and a share of the duration.
_NOISE = 0.25
_SLEW = 0.002
# Corrections beyond these change nothing that anybody could see.
_CORRECTIONS = 100

# (first event, last event, seconds between them by the monotonic clock)
_Anchor = tuple[int, int, float]


def happened_at(events: Sequence[Event]) -> list[float]:
    """Seconds since the first event, for each; never less than for the one before."""
    walls = [event.time.timestamp() for event in events]
    pauses = [later - earlier for earlier, later in pairwise(walls)]
    _correct(pauses, _anchors(events))
    # A clock that was set back and that no duration tells about: by how much nobody knows.
    pauses = [0.0 if pause < -_NOISE else pause for pause in pauses]
    # Events that were made at the same time may have been written the other way round.
    return list(accumulate([0.0, *accumulate(pauses)], max))[: len(events)]


def _anchors(events: Sequence[Event]) -> list[_Anchor]:
    """What is known of durations, the shortest first: they say best where the clock was set."""
    began: dict[tuple[object, ...], int] = {}
    anchors: list[_Anchor] = []
    for index, event in enumerate(events):
        where = (event.run_id, event.step_id, event.item, event.attempt)
        if event.type in _STARTS:
            began.setdefault((_STARTS[event.type], *where), index)
        elif event.type in _ENDS and isinstance(event.data.get("duration"), int | float):
            start = began.get((_ENDS[event.type], *where))
            if start is not None:
                anchors.append((start, index, float(event.data["duration"])))
    return sorted(anchors, key=lambda anchor: anchor[2])


def _correct(pauses: list[float], anchors: Sequence[_Anchor]) -> None:
    """Take jumps of the clock out of the pauses, in place."""
    sums = [0.0, *accumulate(pauses)]
    corrections = 0
    for number, (start, end, duration) in enumerate(anchors):
        excess = sums[end] - sums[start] - duration
        if abs(excess) <= _NOISE + _SLEW * duration or start == end:
            continue
        # What shorter durations tell about is right by now.
        sure = _covered(anchors[:number], len(pauses))
        within = [index for index in range(start, end) if not sure[index]] or range(start, end)
        if excess > 0:
            where = max(within, key=pauses.__getitem__)
            pauses[where] = max(0.0, pauses[where] - excess)
        else:
            where = min(within, key=pauses.__getitem__)
            pauses[where] -= excess
        sums = [0.0, *accumulate(pauses)]
        corrections += 1
        if corrections == _CORRECTIONS:
            return


def _covered(anchors: Sequence[_Anchor], count: int) -> list[bool]:
    """Of each pause whether one of the durations tells about it."""
    changes = [0] * (count + 1)
    for start, end, _ in anchors:
        changes[start] += 1
        changes[end] -= 1
    return [depth > 0 for depth in accumulate(changes)]
