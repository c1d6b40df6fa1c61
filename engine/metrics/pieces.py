"""Time cut into pieces without gaps: each says in which part of the work it was spent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.metrics.spans import AttemptSpan, UnitSpan

# In the order in which they come about. `away`: no engine was there; `other`: the engine's own work.
PARTS = (
    "queue",
    "image",
    "create",
    "start",
    "run",
    "collect",
    "backoff",
    "approval",
    "delay",
    "away",
    "other",
)
_BEFORE_RUN = ("queue", "backoff", "image", "create", "start")
_GATES = {"approval": "approval", "delay": "delay"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Some time of one unit (or of none: of the run itself), spent in one part."""

    begin: float
    end: float
    part: str
    run_id: str
    step_id: str | None = None
    item: int | None = None
    attempt: int | None = None
    child_run: str | None = None

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.begin


def sums(pieces: Iterable[Piece]) -> dict[str, float]:
    """The seconds of each part, in the order of `PARTS`; parts without any are left out."""
    found: dict[str, float] = {}
    for piece in pieces:
        found[piece.part] = found.get(piece.part, 0.0) + piece.seconds
    return {part: found[part] for part in PARTS if found.get(part, 0.0) > 0.0}


def cut(pieces: Sequence[Piece], begin: float, end: float) -> list[Piece]:
    """What of `pieces` is between two moments."""
    return [
        replace(piece, begin=max(piece.begin, begin), end=min(piece.end, end))
        for piece in pieces
        if piece.begin < end and piece.end > begin
    ]


def unit_pieces(unit: UnitSpan, away: Sequence[tuple[float, float]] = ()) -> list[Piece]:
    """A unit from the moment it was ready to its end.

    Args:
        unit: a step or an item.
        away: times in which no engine was there; what needs one stood still.
    """
    return [piece for piece in _without_engine(_unit(unit), away, _adopted(unit)) if piece.seconds > 0.0]


def _unit(unit: UnitSpan) -> Iterator[Piece]:
    where = (unit.run_id, unit.step_id, unit.item)
    cursor = unit.ready
    for index, attempt in enumerate(unit.attempts):
        gap = max(0.0, attempt.created - cursor)
        queued = min(gap, attempt.phases.get("queue", 0.0))
        # An item that has not begun waits for its turn in the map; what has been tried, for its next try.
        rest = "backoff" if index else "queue" if unit.item is not None else "other"
        yield Piece(cursor, cursor + gap - queued, rest, *where)
        yield Piece(cursor + gap - queued, cursor + gap, "queue", *where)
        yield from attempt_pieces(attempt, max(cursor, attempt.created), queued)
        cursor = max(cursor, attempt.end)
    yield from _waits(unit, cursor)


def _waits(unit: UnitSpan, cursor: float) -> Iterator[Piece]:
    """The time after the last attempt; all of it for what has no attempts."""
    where = (unit.run_id, unit.step_id, unit.item)
    if unit.open and unit.attempts and not unit.attempts[-1].open:
        yield Piece(cursor, unit.end, "backoff", *where)
        return
    if not unit.attempts and unit.item is not None:
        yield Piece(cursor, unit.end, "queue", *where)
        return
    part = "other"
    for time, why in [] if unit.attempts else unit.waits:
        if time > cursor:
            yield Piece(cursor, time, part, *where)
            cursor = time
        part = "queue" if why in ("slot", "pool") else _GATES.get(why, "other")
    yield Piece(cursor, max(cursor, unit.end), part, *where)


def attempt_pieces(attempt: AttemptSpan, begin: float, queued: float = 0.0) -> Iterator[Piece]:
    """An attempt from `begin` to its end; `queued` seconds of its waiting lie before."""
    where = (attempt.run_id, attempt.step_id, attempt.item, attempt.number)
    phases = {**attempt.phases, "queue": attempt.phases.get("queue", 0.0) - queued}
    end = max(begin, attempt.end)
    start = end if attempt.started is None else min(max(begin, attempt.started), end)
    # The engine's own work first: the journal and Redis are told before the agent is made.
    known = sum(max(0.0, phases.get(part, 0.0)) for part in _BEFORE_RUN)
    cursor = max(begin, start - known)
    yield Piece(begin, cursor, "other", *where)
    for part in _BEFORE_RUN:
        until = min(start, cursor + max(0.0, phases.get(part, 0.0)))
        yield Piece(cursor, until, part, *where)
        cursor = until
    yield Piece(cursor, start, "other", *where)
    cursor = start
    if attempt.started is not None:
        yield from _running(attempt, cursor, end, phases)


def _running(attempt: AttemptSpan, cursor: float, end: float, phases: Mapping[str, float]) -> Iterator[Piece]:
    """From its start (`cursor`) to its end."""
    where = (attempt.run_id, attempt.step_id, attempt.item, attempt.number)
    collect = phases.get("collect", 0.0)
    # Of one that was taken over nobody measured how long it ran: as long as is left.
    run = phases.get("run", max(0.0, end - cursor - collect))
    for part, seconds in (("run", run), ("collect", collect)):
        until = min(end, cursor + max(0.0, seconds))
        yield Piece(cursor, until, part, *where, attempt.child_run if part == "run" else None)
        cursor = until
    yield Piece(cursor, end, "other", *where)


def _adopted(unit: UnitSpan) -> frozenset[int]:
    """Attempts that went on by themselves while no engine was there."""
    return frozenset(attempt.number for attempt in unit.attempts if attempt.reason != "infra_error")


def _without_engine(
    pieces: Iterable[Piece], away: Sequence[tuple[float, float]], adopted: frozenset[int]
) -> Iterator[Piece]:
    """Turn what stood still into `away`."""
    for piece in pieces:
        going_on = piece.part in ("approval", "delay") or (piece.part == "run" and piece.attempt in adopted)
        gaps = [] if going_on or piece.child_run else away
        cursor = piece.begin
        for begin, end in gaps:
            begin, end = max(cursor, begin), min(piece.end, end)
            if begin < end:
                yield replace(piece, begin=cursor, end=begin)
                yield replace(piece, begin=begin, end=end, part="away")
                cursor = end
        yield replace(piece, begin=cursor)
