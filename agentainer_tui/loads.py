"""What a running agent uses, from one look at it to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.inventory import Sample

# As many looks are kept as a minute has seconds.
_KEPT = 60


class Meter:
    """Follows the samples of one agent. Nothing is known before the second one, memory from the first."""

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._cpu: deque[float] = deque(maxlen=_KEPT)
        self._memory: deque[float] = deque(maxlen=_KEPT)

    def take(self, sample: Sample) -> None:
        """One more look. One that is not later than the last is left out."""
        last = self._last
        if last is not None:
            passed = (sample.time - last.time).total_seconds()
            if passed <= 0:
                return
            used = max(0.0, sample.cpu_seconds - last.cpu_seconds)
            self._cpu.append(1000 * used / passed)
        self._memory.append(sample.memory)
        self._last = sample

    @property
    def millicores(self) -> float | None:
        """Thousandths of a CPU, at last."""
        return self._cpu[-1] if self._cpu else None

    @property
    def memory(self) -> float | None:
        """Bytes without the page cache, at last."""
        return self._memory[-1] if self._memory else None

    @property
    def cpu_history(self) -> Sequence[float]:
        """Thousandths of a CPU, oldest first."""
        return tuple(self._cpu)

    @property
    def memory_history(self) -> Sequence[float]:
        """Bytes, oldest first."""
        return tuple(self._memory)


def percent(millicores: float | None) -> str:
    """As people read it: 100 % is one CPU."""
    return "" if millicores is None else f"{millicores / 10:.0f} %"
