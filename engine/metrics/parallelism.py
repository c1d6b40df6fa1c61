"""How many tasks ran at a time, of how many that could."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Interval = tuple[float, float]

_BUCKETS = 60


@dataclass(frozen=True, slots=True)
class Parallelism:
    """Tasks at the same time.

    Attributes:
        mean: over the whole run.
        peak: the most at any moment.
        slots: how many could, None if that is not known.
        full: seconds in which all slots were taken.
        idle: seconds in which no task was in progress.
        every: seconds that one element of `over_time` stands for.
        over_time: how many were in progress on average, from the start on.
    """

    mean: float = 0.0
    peak: int = 0
    slots: int | None = None
    full: float = 0.0
    idle: float = 0.0
    every: float = 0.0
    over_time: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `profile --json` prints it."""
        return {
            "mean": round(self.mean, 3),
            "peak": self.peak,
            "slots": self.slots,
            "full": round(self.full, 6),
            "idle": round(self.idle, 6),
            "every": round(self.every, 6),
            "over_time": [round(count, 3) for count in self.over_time],
        }


def levels(intervals: Iterable[Interval]) -> list[tuple[float, float, int]]:
    """From when to when how many of `intervals` were in progress, in order; only where any were."""
    steps: dict[float, int] = {}
    for begin, end in intervals:
        if end > begin:
            steps[begin] = steps.get(begin, 0) + 1
            steps[end] = steps.get(end, 0) - 1
    found, count = [], 0
    for begin, end in pairwise(sorted(steps)):
        count += steps[begin]
        if count:
            found.append((begin, end, count))
    return found


def parallelism(intervals: Sequence[Interval], duration: float, slots: int | None) -> Parallelism:
    """Of the tasks of a run that took `duration` seconds."""
    steps = levels((max(0.0, begin), min(duration, end)) for begin, end in intervals)
    if not duration > 0.0:
        return Parallelism(slots=slots)
    work = sum((end - begin) * count for begin, end, count in steps)
    busy = sum(end - begin for begin, end, _ in steps)
    full = sum(end - begin for begin, end, count in steps if slots is not None and count >= slots)
    every = duration / _BUCKETS
    return Parallelism(
        work / duration,
        max((count for _, _, count in steps), default=0),
        slots,
        full,
        max(0.0, duration - busy),
        every,
        _over_time(steps, every),
    )


def _over_time(steps: Iterable[tuple[float, float, int]], every: float) -> tuple[float, ...]:
    buckets = [0.0] * _BUCKETS
    for begin, end, count in steps:
        for index in range(min(_BUCKETS - 1, int(begin / every)), min(_BUCKETS, int(end / every) + 1)):
            within = min(end, (index + 1) * every) - max(begin, index * every)
            buckets[index] += count * max(0.0, within) / every
    return tuple(buckets)
