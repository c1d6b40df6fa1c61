"""One measured figure, the floor measured beside it in the same run, and their table.

Machines differ and drift: the ratio is what can be compared, the seconds are for orientation. Some targets
are absolute all the same, because a person waits: they are meant for the machine of `docs/performance.md`.
"""

from __future__ import annotations

import atexit
import dataclasses
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

# Seconds that a command which is interrupted has to clean up.
_GRACE = 12.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A median in seconds (or a rate), beside its floor.

    Attributes:
        name: what was measured.
        value: the median over the passes.
        floor_name, floor: the same job done without us.
        unit: of both, `s` unless it is something else; one that ends in `/s` is a rate.
        target: what `value / floor` should not exceed (for a rate: not fall below); None = no target.
        limit: what `value` itself should not exceed (for a rate: not fall below); None = no such target.
    """

    name: str
    value: float
    floor_name: str
    floor: float
    unit: str = "s"
    target: float | None = None
    limit: float | None = None

    @property
    def ratio(self) -> float:
        """`value / floor`."""
        return self.value / self.floor

    @property
    def met(self) -> bool | None:
        """Whether its targets are met; None where it has none."""
        wanted = [(self.ratio, self.target), (self.value, self.limit)]
        sign = -1 if self.unit.endswith("/s") else 1
        judged = [sign * found <= sign * bound for found, bound in wanted if bound is not None]
        return all(judged) if judged else None

    def line(self) -> str:
        """The figure as a row."""
        sign = ">=" if self.unit.endswith("/s") else "<="
        targets = [f"{sign} {self.limit:,g} {self.unit}"] if self.limit is not None else []
        targets += [f"{sign} {self.target:.2f}x"] if self.target is not None else []
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return (
            f"{self.name:<46} {self.value:>10.3f} {self.unit:<7} {self.floor_name:<36} "
            f"{self.floor:>10.3f} {self.ratio:>8.2f}  {', '.join(targets) or '-':<16} {verdict}"
        ).rstrip()

    def to_json(self) -> dict[str, Any]:
        """The figure with what follows from it."""
        return dataclasses.asdict(self) | {"ratio": self.ratio, "met": self.met}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Figure:
        """The inverse of `to_json`."""
        return cls(**{field.name: found[field.name] for field in dataclasses.fields(cls)})


HEADER = f"{'what':<46} {'median':>10} {'':<7} {'floor':<36} {'median':>10} {'ratio':>8}  target"


def interleaved(*commands: Sequence[str], passes: int = 3) -> tuple[float, ...]:
    """Median seconds of `passes` runs of each command, in turns so that a drift of the machine hits all."""
    timings: list[list[float]] = [[] for _ in commands]
    run(commands[0])  # once without looking: what it imports is compiled then, as an installed program is
    for _ in range(passes):
        for command, taken in zip(commands, timings, strict=True):
            start = time.perf_counter()
            run(command)
            taken.append(time.perf_counter() - start)
    return tuple(map(statistics.median, timings))


def run(command: Sequence[str]) -> str:
    """Run a command to success, quietly; returns its standard output.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        try:
            said, complaints = process.communicate()
        except BaseException:
            # Its containers and servers go with it only if it may end by itself.
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_GRACE)
            process.kill()
            raise
    if process.returncode != 0:
        raise RuntimeError(f"{command!r} ended with {process.returncode}: {complaints[-2000:]}")
    return said


@cache
def environment() -> dict[str, str]:
    """Ours, with a place for compiled modules, whatever is allowed to write them elsewhere."""
    place = tempfile.mkdtemp(prefix="agentainer-bench-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPYCACHEPREFIX": place}
