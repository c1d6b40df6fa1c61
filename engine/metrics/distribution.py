"""What many measured values come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Distribution:
    """Figures of `count` values; None where there are none. Percentiles are values that occurred.

    A percentile is the smallest value with at least that share of all at or below it (nearest rank).
    """

    count: int = 0
    total: float = 0.0
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    longest: float | None = None

    @classmethod
    def of(cls, ordered: Sequence[float]) -> Distribution:
        """Of values in ascending order."""
        if not ordered:
            return cls()
        p50, p90, p99 = (percentile(ordered, share) for share in (0.5, 0.9, 0.99))
        return cls(len(ordered), math.fsum(ordered), p50, p90, p99, ordered[-1])

    @property
    def average(self) -> float | None:
        """The mean."""
        return self.total / self.count if self.count else None

    def to_json(self) -> dict[str, Any]:
        """As `stats --json` prints it."""
        return {
            "count": self.count,
            "average": self.average,
            "p50": self.p50,
            "p90": self.p90,
            "p99": self.p99,
            "longest": self.longest,
        }


NOTHING = Distribution()


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value at a share (0 to 1) of values in ascending order, of which there is at least one."""
    # Rounded: 0.9 * 10 must not become the 10th value for want of precision.
    return ordered[max(0, math.ceil(round(share * len(ordered), 9)) - 1)]


def share(part: float, whole: float) -> float:
    """`part` of `whole`, 0 to 1; 0 where there is nothing to divide by."""
    return min(1.0, max(0.0, part / whole)) if whole else 0.0
