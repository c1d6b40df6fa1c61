"""The frozen tables of legal moves, and the end of a run from the ends of its steps."""

from __future__ import annotations

import pytest

from engine.errors import IllegalTransitionError, Reason
from engine.events import TERMINAL_RUN, TERMINAL_STEP, RunStatus, StepStatus
from engine.orchestrator.context import Stop
from engine.orchestrator.outcome import Outcome, cancelled, failed, skipped
from engine.orchestrator.states import RUN_MOVES, STEP_MOVES, check_run_move, check_step_move
from engine.orchestrator.verdict import run_end

DONE = Outcome(StepStatus.COMPLETED)
BAD = failed(Reason.TASK_FAILED, "exit code 1")


def test_every_state_is_in_the_table_and_terminal_ones_lead_nowhere() -> None:
    assert set(RUN_MOVES) == set(RunStatus)
    assert set(STEP_MOVES) == set(StepStatus)
    assert {status for status, moves in RUN_MOVES.items() if not moves} == TERMINAL_RUN
    assert {status for status, moves in STEP_MOVES.items() if not moves} == TERMINAL_STEP


def test_illegal_moves_are_refused() -> None:
    with pytest.raises(IllegalTransitionError, match="completed to running"):
        check_step_move(StepStatus.COMPLETED, StepStatus.RUNNING)
    with pytest.raises(IllegalTransitionError):
        check_run_move(RunStatus.CANCELLING, RunStatus.COMPLETED)


def test_the_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        RUN_MOVES[RunStatus.FAILED] = frozenset()  # type: ignore[index]


@pytest.mark.parametrize(
    ("outcomes", "stop", "status"),
    [
        ([DONE, DONE], None, RunStatus.COMPLETED),
        ([], None, RunStatus.COMPLETED),
        ([skipped(Reason.CONDITION_FALSE)], None, RunStatus.COMPLETED),
        ([DONE, BAD], None, RunStatus.PARTIALLY_COMPLETED),
        ([BAD, skipped(Reason.CONDITION_FALSE)], None, RunStatus.FAILED),
        ([DONE, Outcome(StepStatus.COMPLETED, partial=True)], None, RunStatus.PARTIALLY_COMPLETED),
        ([DONE, BAD], Stop(Reason.TASK_FAILED, "step failed", "x"), RunStatus.FAILED),
        ([DONE, cancelled(Reason.CANCELLED)], Stop(Reason.CANCELLED, "by me"), RunStatus.CANCELLED),
        ([DONE, cancelled(Reason.TIMED_OUT)], Stop(Reason.TIMED_OUT, "late"), RunStatus.FAILED),
    ],
)
def test_the_end_of_a_run_follows_from_its_steps(
    outcomes: list[Outcome], stop: Stop | None, status: RunStatus
) -> None:
    end = run_end({f"s{number}": outcome for number, outcome in enumerate(outcomes)}, stop)
    assert end[0] is status
