"""From what a task left behind to its outcome: exit, Redis keys, standard output (design §5).

Pure functions: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.agents.backend import Exit
from engine.errors import Reason
from engine.events import StepStatus
from engine.orchestrator.masking import Masker
from engine.orchestrator.outcome import Outcome, failed
from engine.state.store import TaskOutcome
from engine.strict_json import parse

_PREVIEW = 200


def result_of_output(stdout: str) -> Any:
    """A task's standard output as its result: the JSON value that the whole of it is, else the text."""
    text = stdout.strip()
    if not text:
        return None
    try:
        return parse(text)
    except ValueError:
        return stdout.rstrip("\r\n")


def judge(
    end: Exit, told: TaskOutcome, *, stdout: str, stderr_tail: str, stopped: bool, masker: Masker
) -> Outcome:
    """What an attempt came to, its secrets masked.

    Args:
        end: how the agent ended.
        told: what the task left in Redis.
        stdout: its standard output, bounded.
        stderr_tail: the last of its standard error, for the error's text.
        stopped: the engine stopped the agent after it had announced its completion; the exit code is then
            ours, not the task's.
        masker: knows the secrets.
    """
    outcome = _judge(end, told, stdout, stderr_tail, stopped=stopped, masker=masker)
    if not masker:
        return outcome
    error = outcome.error and masker.mask_text(outcome.error)
    return replace(outcome, result=masker.mask_json(outcome.result), error=error)


def _judge(
    end: Exit, told: TaskOutcome, stdout: str, stderr_tail: str, *, stopped: bool, masker: Masker
) -> Outcome:
    if end.lost and told.announced is None:
        return failed(
            Reason.LOST, "the agent vanished while it ran (removed by hand, or the machine restarted)"
        )
    if end.start_error:
        return failed(Reason.START_FAILED, end.start_error, exit_code=end.code)
    if end.oom and end.code != 0:
        error = "killed: it used more memory than its limit" + _with_tail(stderr_tail)
        return failed(Reason.OOM_KILLED, error, exit_code=end.code)
    code = 0 if stopped or end.lost else end.code
    if code != 0:
        error = told.error or f"exit code {code}" + _with_tail(stderr_tail)
        return failed(Reason.TASK_FAILED, error, exit_code=code)
    if told.announced == "error" or told.error is not None:
        return failed(Reason.TASK_FAILED, told.error or "the task announced an error", exit_code=code)
    return _success(told, stdout, code, masker)


def _success(told: TaskOutcome, stdout: str, code: int, masker: Masker) -> Outcome:
    if told.problem is not None:
        return failed(Reason.BAD_RESULT, told.problem, exit_code=code)
    if told.result is None:
        return Outcome(StepStatus.COMPLETED, result=result_of_output(stdout), exit_code=code)
    try:
        return Outcome(StepStatus.COMPLETED, result=parse(told.result), exit_code=code)
    except ValueError as error:
        preview = masker.mask_text(told.result)[:_PREVIEW]
        return failed(
            Reason.BAD_RESULT,
            f"the result key is not JSON ({error}): found {preview!r}, expected one JSON value",
            exit_code=code,
        )


def _with_tail(stderr_tail: str) -> str:
    lines = [line for line in stderr_tail.strip().splitlines() if line.strip()]
    return f": {lines[-1].strip()}" if lines else ""
