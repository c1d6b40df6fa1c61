"""Retry as the engine does it: deadlines, budgets, what is persisted. The figures have tests of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.clock import parse_time
from engine.errors import BackendError, Reason
from engine.events import EventType
from engine.history.records import RunDetail
from tests.engine.world import World, in_world, step_of, until

ONE = """
name: one
{config}
steps:
  - {{id: a, command: ["x"], retry_policy: {{max_attempts: 3, delay: 100s{more}}}}}
"""


def one(more: str = "", config: str = "") -> str:
    return ONE.format(more=f", {more}" if more else "", config=config)


def attempts_of(detail: RunDetail, step: str = "a") -> list[str | None]:
    return [attempt.reason or attempt.status for attempt in step_of(detail, step).attempts]


def failing(times: int, **script: Any) -> Any:
    return lambda spec: Script(**script) if spec.identity.attempt <= times else Script()


@pytest.mark.parametrize(
    ("more", "script", "attempts"),
    [
        ("", {"exit_code": 1}, ["task_failed", "task_failed", "completed"]),
        ("retry_on: [task_failed]", {"exit_code": 1}, ["task_failed", "task_failed", "completed"]),
        ("retry_on: [timed_out]", {"exit_code": 1}, ["task_failed"]),
        (
            "retry_on: [oom_killed]",
            {"oom": True, "exit_code": 137},
            ["oom_killed", "oom_killed", "completed"],
        ),
        ("exit_codes: [75]", {"exit_code": 75}, ["task_failed", "task_failed", "completed"]),
        ("exit_codes: [75]", {"exit_code": 1}, ["task_failed"]),
        ("retry_on: [task_failed], exit_codes: [75]", {"exit_code": 74}, ["task_failed"]),
    ],
)
def test_only_what_the_policy_names_is_tried_again(
    tmp_path: Path, more: str, script: dict[str, Any], attempts: list[str]
) -> None:
    async def story(world: World) -> None:
        assert attempts_of(await world.run(one(more))) == attempts

    in_world(tmp_path, story, failing(2, **script))


def test_the_wait_is_told_and_kept_before_it_begins(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(one())
        await asyncio.sleep(50)
        step = step_of(await world.detail(run_id), "a")
        assert step.status == "retrying"
        assert step.next_attempt_at is not None
        due = parse_time(step.next_attempt_at)
        await until(lambda: len(world.backend.started) == 2)
        assert abs((world.clock.now() - due).total_seconds()) < 0.1
        await world.finish(run_id)

    in_world(tmp_path, story, failing(1, exit_code=1))


@pytest.mark.parametrize("jitter", ["full", "equal"])
def test_a_jittered_wait_goes_on_after_a_crash_to_the_moment_that_was_told(
    tmp_path: Path, jitter: str
) -> None:
    document = one(f"jitter: {jitter}").replace("100s", "1000s")

    async def story(world: World) -> None:
        run_id = await world.start(document)
        await asyncio.sleep(5)
        detail = await world.crash(run_id)
        told = step_of(detail, "a").next_attempt_at
        assert told is not None
        await world.resume(detail, document)
        await until(lambda: len(world.backend.started) == 2)
        assert abs((world.clock.now() - parse_time(told)).total_seconds()) < 1
        await world.finish(run_id)

    in_world(tmp_path, story, failing(1, exit_code=1))


@pytest.mark.parametrize(("timeout", "tries"), [("99s", 1), ("150s", 2), ("250s", 3)])
def test_a_wait_that_would_cross_the_runs_timeout_fails_at_once(
    tmp_path: Path, timeout: str, tries: int
) -> None:
    async def story(world: World) -> None:
        end = await world.run(one(config=f"config: {{timeout: {timeout}}}"))
        assert len(step_of(end, "a").attempts) == tries
        assert (end.run.status, end.run.reason) == ("failed", "task_failed")
        assert world.loop.time() == pytest.approx((tries - 1) * 100)

    in_world(tmp_path, story, lambda spec: Script(exit_code=1))


def test_a_finally_step_does_not_wait_beyond_the_time_that_all_of_them_have(tmp_path: Path) -> None:
    document = (
        "name: f\nconfig: {finally_timeout: 150s, timeout: 10s}\nsteps:\n  - {id: main, command: [x]}\n"
        "finally:\n  - {id: a, command: [x], retry_policy: {max_attempts: 9, delay: 100s}}\n"
    )

    async def story(world: World) -> None:
        end = await world.run(document)
        assert attempts_of(end) == ["task_failed", "task_failed"]
        assert (end.run.status, end.run.reason) == ("partially_completed", "task_failed")
        assert world.loop.time() == pytest.approx(100)

    in_world(tmp_path, story, lambda spec: Script(exit_code=int(spec.identity.step_id == "a")))


def unavailable(spec: AgentSpec, times: int) -> Script:
    error = BackendError(Reason.INFRA_ERROR, "the daemon does not answer", transient=True)
    return Script(create_error=error, error_times=times)


def test_platform_failures_cost_no_attempt(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        end = await world.run(one())
        assert attempts_of(end) == ["completed"]
        warnings = [e for e in await world.events(end.run.id) if e.type is EventType.WARNING]
        assert len(warnings) == 2

    in_world(tmp_path, story, lambda spec: unavailable(spec, 2), platform_retries=3)


@pytest.mark.parametrize(("retry_on", "attempts"), [("", 1), ("retry_on: [infra_error]", 3)])
def test_a_platform_failure_beyond_its_budget_is_final_unless_the_policy_names_it(
    tmp_path: Path, retry_on: str, attempts: int
) -> None:
    async def story(world: World) -> None:
        end = await world.run(one(retry_on))
        assert attempts_of(end) == ["infra_error"] * attempts

    in_world(tmp_path, story, lambda spec: unavailable(spec, 1_000_000), platform_retries=1)
