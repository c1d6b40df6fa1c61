"""What is said at the end of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agentainer_tui.commands.execution import EXIT_CODES
from agentainer_tui.commands.report import print_failures, print_summary, result_text
from engine.events import RunStatus
from engine.facade import AttemptRecord, ItemRecord, RunDetail, RunRecord, StepRecord
from engine.history.logs import LogWriter
from engine.settings import Settings

RUN = RunRecord(
    "a1b2c3d4e5f6",
    "sample",
    "digest",
    "failed",
    "process",
    reason="task_failed",
    error="step 'two' failed",
    duration=3.2,
)


def attempt(step: str, number: int, item: int | None = None) -> AttemptRecord:
    name = step if item is None else f"{step}.{item}"
    return AttemptRecord(
        RUN.id, step, item, number, "failed", "task", "agent", "process",
        log=f"{RUN.id}/{name}.{number}.log", reason="task_failed", exit_code=7, error="exit code 7: boom",
    )  # fmt: skip


def step(step_id: str, status: str, **more: object) -> StepRecord:
    return replace(StepRecord(RUN.id, step_id, step_id, "sequential", 0, status), **more)  # type: ignore[arg-type]


def failed(step_id: str, **more: object) -> StepRecord:
    return step(step_id, "failed", reason="task_failed", error="exit code 7: boom", **more)


def report(detail: RunDetail, home: Path, capsys: pytest.CaptureFixture[str]) -> str:
    print_failures(detail, Settings(home=home))
    return capsys.readouterr().err


def test_a_failure_says_where_why_and_where_to_look_further(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = attempt("two", 2)
    writer = LogWriter(Settings(home=tmp_path).logs, last.log, limit=1 << 20)
    writer.write("stdout", b"to stdout\n")
    writer.write("stderr", b"first\n\x1b[2Jsecond\n")
    writer.close()

    shown = report(RunDetail(RUN, {}, (failed("two", attempts=(attempt("two", 1), last)),)), tmp_path, capsys)

    assert shown.splitlines() == [
        "",
        "two failed: run a1b2c3d4e5f6, step two, attempt 2",
        "  reason: task_failed, exit code 7",
        "  error: exit code 7: boom",
        "  last lines of stderr:",
        "    | first",
        "    | ␛[2Jsecond",
        f"  more: agentainer logs a1b2c3d4e5f6 two --home {tmp_path}",
    ]


def test_each_failed_item_is_reported_and_not_the_step_that_holds_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = tuple(
        ItemRecord(RUN.id, "each", index, index, status, attempts=(attempt("each", 1, index),))
        for index, status in enumerate(["completed", "failed"])
    )

    shown = report(RunDetail(RUN, {}, (failed("each", items=items),)), tmp_path, capsys)

    assert shown.count(" failed: ") == 1
    assert "each[1] failed: run a1b2c3d4e5f6, step each, item 1, attempt 1" in shown
    assert f"agentainer logs a1b2c3d4e5f6 each --item 1 --home {tmp_path}" in shown


def test_a_step_that_never_started_has_no_logs_to_look_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = report(RunDetail(RUN, {}, (failed("two"),)), tmp_path, capsys)

    assert "two failed: run a1b2c3d4e5f6, step two, never started" in shown
    assert "agentainer logs" not in shown


def test_a_gate_that_was_rejected_has_no_attempt_but_did_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = failed("gate", started_at="2026-01-01T00:00:00Z")

    shown = report(RunDetail(RUN, {}, (gate,)), tmp_path, capsys)

    assert "gate failed: run a1b2c3d4e5f6, step gate\n" in shown


def test_many_failures_do_not_fill_the_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = tuple(failed(f"s{number}") for number in range(100))

    shown = report(RunDetail(RUN, {}, steps), tmp_path, capsys)

    assert len(shown.splitlines()) < 50
    assert f"… 92 failures more: agentainer show a1b2c3d4e5f6 --home {tmp_path}" in shown


def test_tolerated_failures_of_a_completed_run_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = ItemRecord(RUN.id, "each", 3, 3, "failed", attempts=(attempt("each", 1, 3),))
    detail = RunDetail(replace(RUN, status="completed"), {}, (step("each", "completed", items=(item,)),))

    shown = report(detail, tmp_path, capsys)

    assert shown == f"tolerated: each[3] failed (agentainer show a1b2c3d4e5f6 --home {tmp_path})\n"


def test_the_summary_ends_with_the_last_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = (step("one", "completed", result={"a": 1}), step("two", "skipped"))
    detail = RunDetail(replace(RUN, status="completed", reason=None, error=None), {}, steps)
    print_summary(detail, Settings(home=tmp_path))

    assert capsys.readouterr().out == (
        'sample a1b2c3d4e5f6: completed in 3.2s; 2 steps: 1 completed, 1 skipped\nresult of one:\n{"a": 1}\n'
    )


def test_the_summary_of_a_failed_run_says_why_and_shows_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = RunDetail(RUN, {}, (step("one", "completed", result=1), failed("two")))
    print_summary(detail, Settings(home=tmp_path))

    assert capsys.readouterr().out == (
        "sample a1b2c3d4e5f6: failed in 3.2s (task_failed); 2 steps: 1 completed, 1 failed\n"
        "  step 'two' failed\n"
    )


def test_a_long_result_is_cut_and_the_rest_is_a_command_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replace(RUN, status="completed", reason=None, error=None)
    steps = (step("one", "completed", result={"numbers": list(range(100))}),)
    print_summary(RunDetail(run, {}, steps), Settings(home=tmp_path))
    shown = capsys.readouterr().out.splitlines()

    assert len(shown) == 19
    assert shown[-1] == f"… 88 more lines: agentainer show a1b2c3d4e5f6 --json --home {tmp_path}"


def test_a_result_is_text_as_it_is_or_json_and_never_endless() -> None:
    long = {"numbers": list(range(100))}

    assert result_text("plain\ntext") == "plain\ntext"
    assert result_text([1, 2]) == "[1, 2]"
    assert json.loads(result_text(long)) == long
    assert result_text("x" * 5000, limit=100).startswith("x" * 100 + "… (4900 more characters")


def test_every_end_of_a_run_has_its_exit_code() -> None:
    assert {status.value: code for status, code in EXIT_CODES.items()} == {
        "completed": 0,
        "failed": 1,
        "partially_completed": 3,
        "cancelled": 130,
    }
    assert {status for status in RunStatus if status.is_terminal} == EXIT_CODES.keys()
