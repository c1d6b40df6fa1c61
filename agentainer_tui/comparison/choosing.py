"""Which run to compare another one with, where a person names only one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from engine.events import RunStatus

# Earlier runs of a workflow among which one is looked for.
LOOKED_AT = 200

_WENT_WELL = (RunStatus.COMPLETED, RunStatus.RUNNING, RunStatus.PENDING)


class _HasStatus(Protocol):
    @property
    def status(self) -> str: ...


Run = TypeVar("Run", bound=_HasStatus)


def counterpart(status: str, earlier: Sequence[Run]) -> Run | None:
    """Of a run that failed the last success before it, else the run before it; None without any.

    Args:
        status: of the run.
        earlier: the runs of its workflow before it, newest first.
    """
    good = [run for run in earlier if run.status == RunStatus.COMPLETED]
    candidates = earlier if status in _WENT_WELL or not good else good
    return candidates[0] if candidates else None
