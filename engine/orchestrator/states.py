"""The legal moves of runs and of steps, items and attempts, in one frozen table each (design §4).

Every write of a status carries the old one; the journal compares it with what is stored and refuses the
write if they differ, so that two writers can never both be right.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.errors import IllegalTransitionError
from engine.events import RunStatus, StepStatus

RUN_MOVES: Mapping[RunStatus, frozenset[RunStatus]] = MappingProxyType(
    {
        RunStatus.PENDING: frozenset({RunStatus.RUNNING, RunStatus.CANCELLING, RunStatus.FAILED}),
        RunStatus.RUNNING: frozenset(
            {RunStatus.CANCELLING, RunStatus.COMPLETED, RunStatus.PARTIALLY_COMPLETED, RunStatus.FAILED}
        ),
        RunStatus.CANCELLING: frozenset({RunStatus.CANCELLED, RunStatus.FAILED}),
        RunStatus.COMPLETED: frozenset(),
        RunStatus.PARTIALLY_COMPLETED: frozenset(),
        RunStatus.FAILED: frozenset(),
        RunStatus.CANCELLED: frozenset(),
    }
)

STEP_MOVES: Mapping[StepStatus, frozenset[StepStatus]] = MappingProxyType(
    {
        # Straight from pending to an end: skipped, cancelled before the start, an input that cannot be
        # made, or an outcome taken over from the run that this one retries.
        StepStatus.PENDING: frozenset(
            {
                StepStatus.RUNNING,
                StepStatus.COMPLETED,
                StepStatus.FAILED,
                StepStatus.SKIPPED,
                StepStatus.CANCELLED,
            }
        ),
        StepStatus.RUNNING: frozenset(
            {StepStatus.RETRYING, StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.CANCELLED}
        ),
        StepStatus.RETRYING: frozenset({StepStatus.RUNNING, StepStatus.FAILED, StepStatus.CANCELLED}),
        StepStatus.COMPLETED: frozenset(),
        StepStatus.FAILED: frozenset(),
        StepStatus.SKIPPED: frozenset(),
        StepStatus.CANCELLED: frozenset(),
    }
)


def check_run_move(old: RunStatus, new: RunStatus) -> None:
    """Raise IllegalTransitionError unless a run may go from `old` to `new`."""
    if new not in RUN_MOVES[old]:
        raise IllegalTransitionError(f"a run cannot go from {old} to {new}")


def check_step_move(old: StepStatus, new: StepStatus) -> None:
    """Raise IllegalTransitionError unless a step, item or attempt may go from `old` to `new`."""
    if new not in STEP_MOVES[old]:
        raise IllegalTransitionError(f"a step cannot go from {old} to {new}")
