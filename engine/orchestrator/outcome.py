"""What running something came to: the one value that step kinds, retries and the graph exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.errors import Reason, known_error
from engine.events import StepStatus
from engine.history.records import Remembered
from engine.orchestrator.artifacts import Artifact


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an attempt, item or step.

    Attributes:
        status: a terminal status.
        reason: why, wherever it did not simply complete.
        error: the same in words, for people.
        result: what the task left, as JSON.
        exit_code: of the (last) task, if there was one.
        partial: completed, though parts (items, steps of a child run) failed that nobody said may fail; the
            run cannot be `completed`.
        started: whether the user's code ever ran (a platform failure before that costs no attempt).
        transient: for a platform failure, whether the same thing may succeed later.
        artifacts: what was kept of what the task left.
        cache_key: the key under which the result may be used again, if any.
        remembered: the earlier work whose result this is, None for work of its own.
    """

    status: StepStatus
    reason: Reason | None = None
    error: str | None = None
    result: Any = None
    exit_code: int | None = None
    partial: bool = False
    started: bool = True
    transient: bool = False
    artifacts: tuple[Artifact, ...] = ()
    cache_key: str | None = None
    remembered: Remembered | None = None

    @property
    def ok(self) -> bool:
        """True when it completed."""
        return self.status is StepStatus.COMPLETED


def failed(
    reason: Reason, error: str, *, exit_code: int | None = None, started: bool = True, transient: bool = False
) -> Outcome:
    """A failure."""
    return Outcome(
        StepStatus.FAILED, reason, error, exit_code=exit_code, started=started, transient=transient
    )


def fault(error: BaseException) -> Outcome:
    """A failure that the engine has to answer for itself, or what it stands on."""
    known = known_error(error)
    message = known.message if known is not None else f"internal error: {type(error).__name__}: {error}"
    return failed(Reason.INFRA_ERROR, message)


def skipped(reason: Reason, error: str | None = None) -> Outcome:
    """Not run, and why."""
    return Outcome(StepStatus.SKIPPED, reason, error)


def cancelled(reason: Reason, error: str | None = None) -> Outcome:
    """Stopped before its end, and why (`cancelled`, or `timed_out` when the run's time was up)."""
    return Outcome(StepStatus.CANCELLED, reason, error)
