"""One measured figure, the floor measured beside it in the same run, and their table.

Machines differ and drift: the ratio is what can be compared, the seconds are for orientation.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A median in seconds (or a rate), beside its floor.

    Attributes:
        name: what was measured.
        value: the median over the passes.
        floor_name, floor: the same job done without us.
        unit: of both, `s` unless it is a rate.
        target: what `value / floor` should not exceed (for a rate: not fall below); None = no target.
    """

    name: str
    value: float
    floor_name: str
    floor: float
    unit: str = "s"
    target: float | None = None

    @property
    def ratio(self) -> float:
        """`value / floor`."""
        return self.value / self.floor

    def line(self) -> str:
        """The figure as a row."""
        target = f"{self.target:.2f}" if self.target is not None else "-"
        return (
            f"{self.name:<44} {self.value:>10.3f} {self.unit:<4} {self.floor_name:<34} "
            f"{self.floor:>10.3f} {self.unit:<4} {self.ratio:>7.2f} {target:>7}"
        )


HEADER = (
    f"{'what':<44} {'median':>10} {'':<4} {'floor':<34} {'median':>10} {'':<4} {'ratio':>7} {'target':>7}"
)


def interleaved(ours: Sequence[str], floor: Sequence[str], *, passes: int = 3) -> tuple[float, float]:
    """Median seconds of `passes` runs of each command, in turns so that a drift of the machine hits both."""
    timings: tuple[list[float], list[float]] = ([], [])
    for _ in range(passes):
        for command, taken in zip((ours, floor), timings, strict=True):
            start = time.perf_counter()
            run(command)
            taken.append(time.perf_counter() - start)
    return statistics.median(timings[0]), statistics.median(timings[1])


def run(command: Sequence[str]) -> None:
    """Run a command to success, quietly.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command!r} ended with {done.returncode}: {done.stderr[-2000:]}")
