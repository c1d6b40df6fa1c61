"""What an attempt came to, from its exit, its Redis keys and its output."""

from __future__ import annotations

from typing import Any

import pytest

from engine.agents.backend import Exit
from engine.errors import Reason
from engine.events import StepStatus
from engine.orchestrator.masking import Masker
from engine.orchestrator.outcome import Outcome
from engine.orchestrator.results import judge, result_of_output
from engine.state.store import TaskOutcome


def judged(end: Exit, told: TaskOutcome | None = None, **rest: Any) -> Outcome:
    given: dict[str, Any] = {"stdout": "", "stderr_tail": "", "stopped": False, "masker": Masker()} | rest
    return judge(end, told or TaskOutcome(), **given)


@pytest.mark.parametrize(
    ("stdout", "result"),
    [
        ("", None),
        ("  \n", None),
        ('{"a": 1}\n', {"a": 1}),
        ("[1, 2]", [1, 2]),
        ("42", 42),
        ('"text"', "text"),
        ("null", None),
        ("plain words\n", "plain words"),
        ('{"a": 1}\n{"b": 2}\n', '{"a": 1}\n{"b": 2}'),
        ("NaN", "NaN"),
        ("[Infinity]", "[Infinity]"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_output_is_json_if_the_whole_of_it_is_one_value_else_text(stdout: str, result: Any) -> None:
    assert result_of_output(stdout) == result


def test_exit_0_without_a_result_is_success() -> None:
    assert judged(Exit(0), stdout="7") == Outcome(StepStatus.COMPLETED, result=7, exit_code=0)


def test_the_result_key_wins_over_the_output() -> None:
    assert judged(Exit(0), TaskOutcome(result='{"x": 1}'), stdout="7").result == {"x": 1}


def test_a_non_zero_exit_is_failure_whatever_the_keys_say() -> None:
    outcome = judged(Exit(3), TaskOutcome(result='"fine"', announced="completed"))
    assert (outcome.reason, outcome.exit_code) == (Reason.TASK_FAILED, 3)


def test_the_error_key_is_the_error_else_the_last_line_of_stderr() -> None:
    assert judged(Exit(1), TaskOutcome(error="no disk")).error == "no disk"
    assert judged(Exit(1), stderr_tail="Traceback\nValueError: bad\n").error == "exit code 1: ValueError: bad"


def test_an_announced_error_fails_even_with_exit_0() -> None:
    outcome = judged(Exit(0), TaskOutcome(error="cannot", announced="error"))
    assert (outcome.reason, outcome.error) == (Reason.TASK_FAILED, "cannot")


def test_our_own_stop_after_the_announcement_is_not_the_tasks_exit() -> None:
    outcome = judged(Exit(137), TaskOutcome(result="1", announced="completed"), stopped=True)
    assert outcome.ok
    assert outcome.result == 1


@pytest.mark.parametrize("text", ["{", "", "NaN", "[" * 100_000])
def test_an_unreadable_result_is_a_bad_result(text: str) -> None:
    outcome = judged(Exit(0), TaskOutcome(result=text))
    assert outcome.reason is Reason.BAD_RESULT
    assert len(outcome.error or "") < 1000


def test_a_result_that_redis_could_not_give_is_a_bad_result() -> None:
    outcome = judged(Exit(0), TaskOutcome(problem="the result has 50 MB, at most 1 MiB is read"))
    assert (outcome.reason, outcome.error) == (
        Reason.BAD_RESULT,
        "the result has 50 MB, at most 1 MiB is read",
    )


def test_lost_oom_and_start_errors_have_their_own_reasons() -> None:
    assert judged(Exit(-1, lost=True)).reason is Reason.LOST
    assert judged(Exit(137, oom=True)).reason is Reason.OOM_KILLED
    assert judged(Exit(127, start_error="sh: nope: not found")).reason is Reason.START_FAILED


def test_out_of_memory_in_a_child_that_the_task_survived_is_no_failure() -> None:
    assert judged(Exit(0, oom=True)).ok
