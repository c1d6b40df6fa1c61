"""Retry, time-outs, failure strategies, cancellation and cleanup, under virtual time."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.clock import parse_time
from engine.errors import BackendError, Reason
from engine.events import EventType
from tests.engine.world import World, by_step, in_world, prints, statuses, step_of, until


def failing(times: int, **script: object) -> object:
    """Agents that fail at their first `times` attempts."""

    def behaviour(spec: AgentSpec) -> Script:
        return Script(exit_code=3 if spec.identity.attempt <= times else 0)

    return behaviour


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [("constant", [2, 2, 2]), ("linear", [2, 4, 6]), ("exponential", [2, 4, 8])],
)
def test_back_off_delays_are_exact(tmp_path: Path, backoff: str, delays: list[float]) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: retry\nsteps:\n  - id: a\n    command: ['false']\n"
            f"    retry_policy: {{max_attempts: 4, backoff: {backoff}, delay: 2s}}\n"
        )
        events = await world.events(detail.run.id)
        waits = [event.data["delay"] for event in events if event.type is EventType.STEP_RETRYING]
        assert waits == delays
        attempts = step_of(detail, "a").attempts
        starts = [parse_time(attempt.started_at or "") for attempt in attempts]
        assert [
            (later - earlier).total_seconds() for earlier, later in itertools.pairwise(starts)
        ] == pytest.approx(delays, abs=0.01)
        assert [attempt.status for attempt in attempts] == ["failed", "failed", "failed", "completed"]
        assert detail.run.status == "completed"

    in_world(tmp_path, story, failing(3))  # type: ignore[arg-type]


def test_max_attempts_counts_the_first_try(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: retry\nsteps:\n  - {id: a, command: ['false'], retry_policy: {max_attempts: 3}}\n"
        )
        step = step_of(detail, "a")
        assert [attempt.number for attempt in step.attempts] == [1, 2, 3]
        assert (step.status, step.reason) == ("failed", "task_failed")
        assert detail.run.status == "failed"

    in_world(tmp_path, story, lambda spec: Script(exit_code=1))


def test_a_delay_that_would_cross_the_deadline_fails_at_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: late\nconfig: {timeout: 10s}\nsteps:\n"
            "  - {id: a, command: ['false'], retry_policy: {max_attempts: 5, delay: 1m}}\n"
        )
        step = step_of(detail, "a")
        assert len(step.attempts) == 1
        assert step.reason == "task_failed"
        assert world.loop.time() < 1

    in_world(tmp_path, story, lambda spec: Script(exit_code=1))


def test_a_step_timeout_stops_the_agent_and_is_retried(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        return Script(delay=None if spec.identity.attempt == 1 else 1)

    async def story(world: World) -> None:
        detail = await world.run(
            "name: slow\nsteps:\n"
            "  - {id: a, command: ['x'], timeout: 5s, retry_policy: {max_attempts: 2, delay: 1s}}\n"
        )
        first, second = step_of(detail, "a").attempts
        assert (first.status, first.reason) == ("failed", "timed_out")
        assert second.status == "completed"
        assert world.loop.time() == pytest.approx(7.0)

    in_world(tmp_path, story, behaviour)


def test_a_run_timeout_stops_everything_and_names_its_scope(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: slow\nconfig: {timeout: 5s}\nsteps:\n"
            "  - {id: a, command: ['x'], depends_on: []}\n  - {id: b, command: ['x'], depends_on: [a]}\n"
        )
        assert (detail.run.status, detail.run.reason) == ("failed", "timed_out")
        assert "run" in (detail.run.error or "")
        assert statuses(detail) == {"a": "cancelled", "b": "cancelled"}
        assert step_of(detail, "a").reason == "timed_out"

    in_world(tmp_path, story, lambda spec: Script(delay=None))


def test_fail_fast_cancels_siblings_and_skips_dependents(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: ff\nsteps:\n"
            "  - {id: bad, command: ['x'], depends_on: []}\n"
            "  - {id: slow, command: ['x'], depends_on: []}\n"
            "  - {id: after_bad, command: ['x'], depends_on: [bad]}\n"
            "  - {id: after_slow, command: ['x'], depends_on: [slow]}\n"
        )
        assert statuses(detail) == {
            "bad": "failed",
            "slow": "cancelled",
            "after_bad": "skipped",
            "after_slow": "cancelled",
        }
        assert step_of(detail, "after_bad").reason == "upstream_failed"
        assert (detail.run.status, detail.run.reason) == ("failed", "task_failed")
        assert world.loop.time() == pytest.approx(1.0)

    in_world(tmp_path, story, by_step({"bad": Script(delay=1, exit_code=1), "slow": Script(delay=60)}))


def test_a_member_that_fails_fails_its_parallel_step_and_stops_the_others(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: ff\nsteps:\n  - id: both\n    type: parallel\n    steps:\n"
            "      - {id: bad, command: ['x']}\n      - {id: slow, command: ['x']}\n"
            "  - {id: after, command: ['x']}\n"
        )
        assert statuses(detail) == {
            "both": "failed",
            "bad": "failed",
            "slow": "cancelled",
            "after": "skipped",
        }
        assert detail.run.status == "failed"

    in_world(tmp_path, story, by_step({"bad": Script(delay=1, exit_code=1), "slow": Script(delay=60)}))


def test_continue_lets_dependents_run_and_see_the_error(tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    def behaviour(spec: AgentSpec) -> Script:
        seen[spec.identity.step_id] = spec.env.get("WHY", "")
        return Script(exit_code=7, stderr="no luck") if spec.identity.step_id == "bad" else Script()

    async def story(world: World) -> None:
        detail = await world.run(
            "name: go on\nconfig: {failure_strategy: continue}\nsteps:\n"
            "  - {id: bad, command: ['x']}\n"
            "  - id: next\n    command: ['x']\n"
            "    env_vars: {WHY: '{{ $.steps.bad.status }}/{{ $.steps.bad.exit_code }}'}\n"
        )
        assert statuses(detail) == {"bad": "failed", "next": "completed"}
        assert detail.run.status == "partially_completed"
        assert seen["next"] == "failed/7"
        assert "no luck" in (step_of(detail, "bad").error or "")

    in_world(tmp_path, story, behaviour)


def test_continue_with_nothing_completed_is_failed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: all bad\nconfig: {failure_strategy: continue_on_partial}\nsteps:\n"
            "  - {id: a, command: ['x']}\n  - {id: b, command: ['x']}\n"
        )
        assert detail.run.status == "failed"

    in_world(tmp_path, story, lambda spec: Script(exit_code=1))


@pytest.mark.parametrize("when", ["prepare", "create", "start", "running", "backoff"])
def test_cancel_leaves_nothing_running_wherever_it_comes(tmp_path: Path, when: str) -> None:
    script = {
        "prepare": Script(prepare_delay=50),
        "create": Script(create_delay=50),
        "start": Script(start_delay=50),
        "running": Script(delay=None),
        "backoff": Script(exit_code=1),
    }[when]

    async def story(world: World) -> None:
        run_id = await world.start(
            "name: stop\nsteps:\n"
            "  - {id: a, command: ['x'], retry_policy: {max_attempts: 3, delay: 100s}}\n"
            "  - {id: b, command: ['x']}\n"
        )
        await asyncio.sleep(5)
        assert await world.orchestrator.cancel(run_id, by="test")
        before = world.loop.time()
        detail = await world.finish(run_id)
        assert (detail.run.status, detail.run.reason) == ("cancelled", "cancelled")
        assert statuses(detail) == {"a": "cancelled", "b": "cancelled"}
        assert world.backend.agents == {}
        assert world.loop.time() - before <= world.settings.stop_grace + 1

    in_world(tmp_path, story, lambda spec: script)


def test_a_task_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start("name: deaf\nsteps:\n  - {id: a, command: ['x']}\n")
        await until(lambda: world.backend.running == 1)
        before = world.loop.time()
        await world.orchestrator.cancel(run_id, by="test")
        await world.finish(run_id)
        assert world.loop.time() - before == pytest.approx(world.settings.stop_grace, abs=0.1)

    in_world(tmp_path, story, lambda spec: Script(delay=None, ignores_term=True))


def test_a_second_cancel_skips_the_grace(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start("name: deaf\nsteps:\n  - {id: a, command: ['x']}\n")
        await until(lambda: world.backend.running == 1)
        before = world.loop.time()
        await world.orchestrator.cancel(run_id, by="test")
        await asyncio.sleep(1)
        await world.orchestrator.cancel(run_id, by="test", hurry=True)
        await world.finish(run_id)
        assert world.loop.time() - before == pytest.approx(1.0, abs=0.1)

    in_world(tmp_path, story, lambda spec: Script(delay=None, ignores_term=True))


@pytest.mark.parametrize(
    ("policy", "exit_code", "left"),
    [
        ("always", 0, 0),
        ("always", 1, 0),
        ("on_success", 0, 0),
        ("on_success", 1, 2),
        ("never", 0, 1),
        ("never", 1, 2),
    ],
)
def test_cleanup_policy_decides_what_stays(tmp_path: Path, policy: str, exit_code: int, left: int) -> None:
    async def story(world: World) -> None:
        await world.run(
            f"name: keep\nconfig: {{cleanup_policy: {policy}}}\nsteps:\n"
            "  - {id: a, command: ['x'], retry_policy: {max_attempts: 2, delay: 1s}}\n"
        )
        assert len(world.backend.agents) == left
        with world.loop.outside():
            assert len(await world.reader.kept_agents()) == left

    in_world(tmp_path, story, lambda spec: Script(exit_code=exit_code))


def test_a_platform_failure_before_the_start_costs_no_attempt(tmp_path: Path) -> None:
    error = BackendError(Reason.INFRA_ERROR, "the daemon did not answer", transient=True)

    async def story(world: World) -> None:
        detail = await world.run("name: infra\nsteps:\n  - {id: a, command: ['x']}\n")
        step = step_of(detail, "a")
        assert step.status == "completed"
        assert [attempt.number for attempt in step.attempts] == [1]

    in_world(tmp_path, story, lambda spec: Script(create_error=error, error_times=2))


def test_the_platform_budget_is_bounded(tmp_path: Path) -> None:
    error = BackendError(Reason.INFRA_ERROR, "the daemon did not answer", transient=True)

    async def story(world: World) -> None:
        detail = await world.run(
            "name: infra\nsteps:\n  - {id: a, command: ['x'], retry_policy: {max_attempts: 9}}\n"
        )
        step = step_of(detail, "a")
        assert (step.status, step.reason) == ("failed", "infra_error")
        assert "daemon did not answer" in (step.error or "")
        assert world.loop.time() == pytest.approx(0.5 + 1 + 2)

    in_world(tmp_path, story, lambda spec: Script(start_error=error))


def test_a_missing_image_is_permanent(tmp_path: Path) -> None:
    error = BackendError(Reason.IMAGE_ERROR, "no such image: nope", transient=False)

    async def story(world: World) -> None:
        detail = await world.run(
            "name: image\nsteps:\n  - {id: a, command: ['x'], retry_policy: {max_attempts: 9}}\n"
        )
        step = step_of(detail, "a")
        assert (step.status, step.reason) == ("failed", "image_error")
        assert len(step.attempts) == 1

    in_world(tmp_path, story, lambda spec: Script(prepare_error=error))


def test_a_vanished_agent_is_lost_and_retried_by_policy(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        return Script(lost_after=1) if spec.identity.attempt == 1 else Script()

    async def story(world: World) -> None:
        detail = await world.run(
            "name: gone\nsteps:\n  - {id: a, command: ['x'], retry_policy: {max_attempts: 2}}\n"
        )
        first, second = step_of(detail, "a").attempts
        assert (first.status, first.reason) == ("failed", "lost")
        assert second.status == "completed"

    in_world(tmp_path, story, behaviour)


def test_out_of_memory_has_its_own_reason(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run("name: oom\nsteps:\n  - {id: a, command: ['x']}\n")
        assert step_of(detail, "a").reason == "oom_killed"

    in_world(tmp_path, story, lambda spec: Script(oom=True))


def test_a_result_key_wins_over_standard_output(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async def publish(spec: AgentSpec) -> None:
            await world.store.set_result(spec.identity.task_id, '{"from": "redis"}')
            await world.store.publish(spec.identity.task_id, "completed")

        world.backend._behaviour = lambda spec: prints({"from": "stdout"}, action=publish, delay=1)
        detail = await world.run("name: told\nsteps:\n  - {id: a, command: ['x']}\n")
        assert step_of(detail, "a").result == {"from": "redis"}
        assert detail.state["from"] == "redis"

    in_world(tmp_path, story)


def test_an_announced_completion_gives_the_agent_its_grace_then_stops_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async def publish(spec: AgentSpec) -> None:
            await world.store.set_result(spec.identity.task_id, '"done"')
            await world.store.publish(spec.identity.task_id, "completed")

        world.backend._behaviour = lambda spec: Script(action=publish, delay=None)
        detail = await world.run("name: lingers\nsteps:\n  - {id: a, command: ['x']}\n")
        assert step_of(detail, "a").status == "completed"
        assert step_of(detail, "a").result == "done"
        assert world.loop.time() == pytest.approx(world.settings.stop_grace, abs=0.1)

    in_world(tmp_path, story)


def test_a_non_zero_exit_is_a_failure_whatever_the_keys_say(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async def publish(spec: AgentSpec) -> None:
            await world.store.set_result(spec.identity.task_id, '"done"')
            await world.store.publish(spec.identity.task_id, "completed")

        world.backend._behaviour = lambda spec: Script(action=publish, delay=0.5, exit_code=9)
        detail = await world.run("name: liar\nsteps:\n  - {id: a, command: ['x']}\n")
        step = step_of(detail, "a")
        assert (step.status, step.reason, step.exit_code) == ("failed", "task_failed", 9)

    in_world(tmp_path, story)


def test_a_result_that_is_not_json_is_a_bad_result(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async def publish(spec: AgentSpec) -> None:
            await world.store.set_result(spec.identity.task_id, "{oops")

        world.backend._behaviour = lambda spec: Script(action=publish)
        detail = await world.run("name: garbled\nsteps:\n  - {id: a, command: ['x']}\n")
        assert step_of(detail, "a").reason == "bad_result"

    in_world(tmp_path, story)
