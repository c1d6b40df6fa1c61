"""The samples of one attempt, kept small however long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.agents.backend import Sample

# So many rows (an even number) are halved: two become one.
MAX_ROWS = 600
# A first sample that comes sooner, in seconds, says nothing about the CPUs in use.
_TOO_SOON = 0.5

# Seconds since the start, millicores, memory, network in and out, block bytes read and written.
Row = tuple[float, float, int, int | None, int | None, int | None, int | None]


class Series:
    """Rows of samples, at most `MAX_ROWS`: a row stands for one sample at first, then for 2, then for 4."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._pending: list[Row] = []
        self._width = 1
        self._last: Sample | None = None

    def add(self, seconds: float, sample: Sample) -> None:
        """Take in what was seen so many seconds after the start of the attempt."""
        row = (
            round(seconds, 3),
            round(1000 * self._cores(seconds, sample), 1),
            sample.memory,
            sample.network_in,
            sample.network_out,
            sample.block_read,
            sample.block_write,
        )
        self._last = sample
        self._pending.append(row)
        if len(self._pending) == self._width:
            self._rows.append(_merged(self._pending))
            self._pending = []
        if len(self._rows) >= MAX_ROWS:
            self._halve()

    def to_json(self) -> dict[str, Any] | None:
        """As `attempt.sampled` has it; None if there was no sample."""
        rows = [*self._rows, _merged(self._pending)] if self._pending else self._rows
        return {"every": float(self._width), "rows": [list(row) for row in rows]} if rows else None

    def _cores(self, seconds: float, sample: Sample) -> float:
        """How many CPUs it kept busy since the sample before."""
        if self._last is None:
            return sample.cpu_seconds / seconds if seconds > _TOO_SOON else 0.0
        passed = (sample.time - self._last.time).total_seconds()
        return max(0.0, sample.cpu_seconds - self._last.cpu_seconds) / passed if passed > 0 else 0.0

    def _halve(self) -> None:
        self._rows = [_merged(self._rows[i : i + 2]) for i in range(0, len(self._rows), 2)]
        self._width *= 2


def _merged(rows: Sequence[Row]) -> Row:
    """One row for several neighbours: the mean of the CPUs, the most memory, the last of what counts up."""
    last = rows[-1]
    cores = round(sum(row[1] for row in rows) / len(rows), 1)
    return (last[0], cores, max(row[2] for row in rows), *last[3:])
