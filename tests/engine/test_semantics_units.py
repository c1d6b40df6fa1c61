"""Rules about many units of one step and about trying again that no other test holds."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.errors import BackendError, Reason
from engine.events import EventType
from engine.history.records import RunDetail
from engine.orchestrator.retry import retry_delay
from engine.workflows.plan import Backoff, Jitter, RetryPolicy
from tests.engine.world import World, ends, in_world, prints, run_once, statuses, step_of

MAP = """
name: units
state: {things: %s}
config: {failure_strategy: %s}
steps:
  - id: m
    type: map
    command: ["x"]
    map_config: {input_path: $.things, max_concurrency: %s, %s}
    %s
  - {id: after, command: ["x"]}
"""


def units(
    things: list[Any], more: str, *, at_once: int = 0, strategy: str = "fail_fast", step: str = ""
) -> str:
    return MAP % (json.dumps(things), strategy, at_once, more, step)


def by_item(spec: AgentSpec) -> Script:
    """An item is how long its task takes; a negative one fails after that time."""
    item = json.loads(spec.env.get("MAP_ITEM", "0"))
    return Script(exit_code=int(item < 0), delay=abs(item), stdout=str(item))


def play(home: Path, text: str) -> tuple[RunDetail, float]:
    """Run it; returns its end and how long it took."""

    async def story(world: World) -> tuple[RunDetail, float]:
        return await world.run(text), world.loop.time()

    return in_world(home, story, by_item)


# -- maps ---------------------------------------------------------------------------------------------


def test_fail_fast_stops_its_siblings_in_the_moment_of_the_failure(tmp_path: Path) -> None:
    end, took = play(tmp_path, units([600, -3, 600, 600, 600], "error_handling: fail_fast", at_once=3))

    items = step_of(end, "m").items
    assert [item.status for item in items] == ["cancelled", "failed", "cancelled", "cancelled", "cancelled"]
    assert [len(item.attempts) for item in items] == [1, 1, 1, 0, 0], "nothing was begun after it"
    assert took == pytest.approx(3)


def test_fail_fast_with_a_tolerance_goes_on_until_it_is_exceeded(tmp_path: Path) -> None:
    more = "error_handling: fail_fast, tolerated_failure_count: 2"
    end, _ = play(tmp_path, units([-1, 1, -1, 1, -1, 1, 1], more, at_once=1))

    assert [item.status for item in step_of(end, "m").items] == [
        "failed",
        "completed",
        "failed",
        "completed",
        "failed",
        "cancelled",
        "cancelled",
    ]
    assert step_of(end, "m").status == "failed"


def test_continue_on_error_runs_every_item_though_the_tolerance_is_exceeded_long_before(
    tmp_path: Path,
) -> None:
    more = "error_handling: continue_on_error, tolerated_failure_count: 0"
    end, _ = play(tmp_path, units([-1, -1, 1, 1], more, at_once=1))

    step = step_of(end, "m")
    assert [item.status for item in step.items] == ["failed", "failed", "completed", "completed"]
    assert (step.status, step.reason) == ("failed", "task_failed")
    assert "2 of 4 failed, the first: item 0" in (step.error or "")


@pytest.mark.parametrize(("failures", "status"), [(0, "completed"), (1, "failed")])
def test_a_tolerance_of_zero_tolerates_nothing(tmp_path: Path, failures: int, status: str) -> None:
    more = "error_handling: continue_on_error, tolerated_failure_count: 0"
    things = [-1] * failures + [1] * (3 - failures)
    assert step_of(play(tmp_path, units(things, more))[0], "m").status == status


@pytest.mark.parametrize(
    ("more", "failures", "status"),
    [
        ("tolerated_failure_percentage: 33.3", 1, "failed"),  # 1 of 3 is a third, which is more
        ("tolerated_failure_percentage: 33.4", 1, "completed"),
        ("tolerated_failure_percentage: 100", 2, "completed"),
        ("tolerated_failure_percentage: 100", 3, "failed"),  # all of them
        ("tolerated_failure_count: 3", 3, "failed"),
        ("tolerated_failure_percentage: 0", 1, "failed"),
    ],
)
def test_a_tolerance_at_its_edges(tmp_path: Path, more: str, failures: int, status: str) -> None:
    things = [-1] * failures + [1] * (3 - failures)
    end, _ = play(tmp_path, units(things, f"error_handling: continue_on_error, {more}"))
    assert step_of(end, "m").status == end.run.status == status


def test_a_batch_is_one_item_of_a_tolerance(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        return Script(exit_code=int(-1 in json.loads(spec.env.get("MAP_ITEM", "[]"))))

    async def story(world: World) -> None:
        more = "error_handling: continue_on_error, batch_size: 2, tolerated_failure_count: 1"
        end = await world.run(units([-1, -1, 1, 1, 1], more))
        assert [item.status for item in step_of(end, "m").items] == ["failed", "completed", "completed"]
        assert end.run.status == "completed"

    in_world(tmp_path, story, behaviour)


def test_results_of_items_are_not_merged_into_the_state(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        end = await world.run(units([1, 2], "item_alias: it"))
        assert end.state == {"things": [1, 2], "m_results": [{"own": 0}, {"own": 1}]}

    in_world(
        tmp_path,
        story,
        lambda spec: prints({"own": spec.identity.item}) if spec.identity.step_id == "m" else Script(),
    )


def test_a_failed_map_keeps_what_its_items_came_to(tmp_path: Path) -> None:
    end, _ = play(tmp_path, units([1, -1], "error_handling: fail_fast", strategy="continue", at_once=1))

    assert statuses(end) == {"m": "failed", "after": "completed"}
    assert end.state["m_results"] == [1, None]
    assert end.state["m_errors"] == [{"index": 1, "reason": "task_failed", "error": "exit code 1"}]


def test_the_timeout_of_a_map_bounds_each_item_and_not_all_together(tmp_path: Path) -> None:
    end, took = play(tmp_path, units([4, 4, 4], "item_alias: it", at_once=1, step="timeout: 5s"))
    assert step_of(end, "m").status == "completed"
    assert took == pytest.approx(12)

    more = "error_handling: continue_on_error"
    late, _ = play(tmp_path / "late", units([4, 6, 4], more, step="timeout: 5s"))
    assert [item.reason for item in step_of(late, "m").items] == [None, "timed_out", None]


def test_a_list_longer_than_the_setting_is_an_input_error(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        good, bad = await world.run(units([0] * 3, "")), await world.run(units([0] * 4, ""))
        assert step_of(good, "m").status == "completed"
        assert (step_of(bad, "m").status, step_of(bad, "m").reason) == ("failed", "input_error")
        assert "max_items = 3" in (step_of(bad, "m").error or "")
        assert world.backend.started and step_of(bad, "m").items == ()

    in_world(tmp_path, story, max_items=3)


def test_a_map_can_be_over_the_result_of_a_step(tmp_path: Path) -> None:
    text = (
        "name: over\nsteps:\n  - {id: list, command: [x]}\n"
        "  - {id: m, type: map, command: [x], map_config: {input_path: $.steps.list.result}}\n"
    )
    end = run_once(tmp_path, text, {"list": prints([5, [6]]), "m": prints("done")})
    assert [item.value for item in step_of(end, "m").items] == [5, [6]]


def test_max_parallel_bounds_items_and_steps_together(tmp_path: Path) -> None:
    text = """
name: bound
config: {max_parallel: 3}
state: {things: [5, 5, 5, 5]}
steps:
  - {id: m, type: map, command: ["x"], depends_on: [], map_config: {input_path: things}}
  - {id: w, type: parallel, max_workers: 4, command: ["x"], depends_on: []}
  - {id: a, command: ["x"], depends_on: []}
"""

    async def story(world: World) -> None:
        assert (await world.run(text)).run.status == "completed"
        assert world.backend.most_running == 3
        assert world.loop.time() == pytest.approx(15)

    in_world(tmp_path, story, lambda spec: Script(delay=5))


# -- workers and members ------------------------------------------------------------------------------


def test_a_worker_that_fails_stops_the_other_workers(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        end = await world.run("name: w\nsteps:\n  - {id: w, type: parallel, max_workers: 3, command: [x]}\n")
        assert [item.status for item in step_of(end, "w").items] == ["cancelled", "failed", "cancelled"]
        assert end.run.status == "failed"
        assert world.loop.time() == pytest.approx(2)

    in_world(
        tmp_path,
        story,
        lambda spec: Script(exit_code=1, delay=2) if spec.env["WORKER_ID"] == "1" else Script(delay=600),
    )


MEMBERS = """
name: members
config: {failure_strategy: continue}
steps:
  - id: both
    type: parallel
    steps: [{id: bad, command: ["x"]}, {id: slow, command: ["x"]}]
  - {id: after, command: ["x"], env_vars: {SEEN: "{{ $.steps.slow.result }}/{{ $.steps.bad.status }}"}}
"""


def test_under_continue_the_other_members_run_to_their_ends(tmp_path: Path) -> None:
    end = run_once(tmp_path, MEMBERS, {"bad": Script(exit_code=1), "slow": Script(delay=60, stdout="late")})

    assert statuses(end) == {"both": "failed", "bad": "failed", "slow": "completed", "after": "completed"}
    assert end.run.status == "partially_completed"


def test_members_are_skipped_with_the_step_that_holds_them(tmp_path: Path) -> None:
    text = MEMBERS.replace(
        "    type: parallel\n", "    type: parallel\n    when: {field: $.no, operator: exists}\n"
    ).replace(', env_vars: {SEEN: "{{ $.steps.slow.result }}/{{ $.steps.bad.status }}"}', "")
    end = run_once(tmp_path, text)

    assert {name: ends(end)[name] for name in ("both", "bad", "slow")} == dict.fromkeys(
        ("both", "bad", "slow"), "condition_false"
    )
    assert statuses(end)["after"] == "completed"


# -- trying again -------------------------------------------------------------------------------------


async def waits_of(world: World, run_id: str) -> list[tuple[int | None, float]]:
    kinds = (EventType.STEP_RETRYING, EventType.ITEM_RETRYING)
    return [(e.item, e.data["delay"]) for e in await world.events(run_id) if e.type in kinds]


def test_max_delay_caps_what_is_waited(tmp_path: Path) -> None:
    policy = "retry_policy: {max_attempts: 5, backoff: exponential, delay: 2s, max_delay: 5s}"

    async def story(world: World) -> None:
        end = await world.run(f"name: capped\nsteps:\n  - {{id: a, command: [x], {policy}}}\n")
        assert [delay for _, delay in await waits_of(world, end.run.id)] == [2, 4, 5, 5]
        assert world.loop.time() == pytest.approx(16)

    in_world(tmp_path, story, lambda spec: Script(exit_code=1))


def test_jitter_depends_on_run_step_item_and_attempt_alone(tmp_path: Path) -> None:
    policy = RetryPolicy(max_attempts=3, backoff=Backoff.LINEAR, delay=100, jitter=Jitter.FULL)

    async def story(world: World) -> None:
        step = "retry_policy: {max_attempts: 3, backoff: linear, delay: 100s, jitter: full}"
        more = "error_handling: continue_on_error"
        end = await world.run(units([-1, -1], more, step=step, strategy="continue"))
        found = await waits_of(world, end.run.id)
        expected = {
            (item, retry_delay(policy, attempt, f"{end.run.id}/m/{item}/{attempt}"))
            for item in (0, 1)
            for attempt in (1, 2)
        }
        assert set(found) == expected
        assert len({delay for _, delay in found}) == 4

    in_world(tmp_path, story, by_item)


def test_an_item_that_waits_for_its_next_try_is_stopped_with_its_siblings(tmp_path: Path) -> None:
    step = "retry_policy: {max_attempts: 2, delay: 600s, exit_codes: [75]}"

    def behaviour(spec: AgentSpec) -> Script:
        return Script(exit_code=75) if spec.identity.item == 0 else Script(exit_code=1, delay=5)

    async def story(world: World) -> None:
        end = await world.run(units([0, 0], "error_handling: fail_fast", step=step))
        assert [item.status for item in step_of(end, "m").items] == ["cancelled", "failed"]
        assert world.loop.time() == pytest.approx(5)
        assert world.backend.agents == {}

    in_world(tmp_path, story, behaviour)


def down(times: int) -> Script:
    error = BackendError(Reason.INFRA_ERROR, "the daemon does not answer", transient=True)
    return Script(create_error=error, error_times=times)


def test_every_item_has_a_platform_budget_of_its_own(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        end = await world.run(units([0, 0, 0, 0], "error_handling: fail_fast"))
        assert [len(item.attempts) for item in step_of(end, "m").items] == [1, 1, 1, 1]
        assert end.run.status == "completed"

    in_world(tmp_path, story, lambda spec: down(2), platform_retries=2)


def test_a_cancel_ends_the_wait_after_a_platform_failure(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start("name: down\nsteps:\n  - {id: a, command: [x]}\n")
        await asyncio.sleep(50)
        await world.orchestrator.cancel(run_id, by="test")
        end = await world.finish(run_id)
        assert (end.run.status, statuses(end)) == ("cancelled", {"a": "cancelled"})
        assert world.loop.time() == pytest.approx(50, abs=1)

    in_world(tmp_path, story, lambda spec: down(9), platform_retry_delay=1000)


def test_an_agent_that_is_gone_after_its_start_is_no_platform_failure(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        end = await world.run("name: gone\nsteps:\n  - {id: a, command: [x]}\n")
        assert [attempt.reason for attempt in step_of(end, "a").attempts] == ["lost"]
        assert len(world.backend.started) == 1

    in_world(tmp_path, story, lambda spec: Script(lost_after=1), platform_retries=5)


@pytest.mark.parametrize(("timeout", "tries"), [("100s", 1), ("101s", 2)])
def test_a_wait_that_ends_exactly_at_the_runs_timeout_is_not_waited(
    tmp_path: Path, timeout: str, tries: int
) -> None:
    text = (
        f"name: edge\nconfig: {{timeout: {timeout}}}\nsteps:\n"
        "  - {id: a, command: [x], retry_policy: {max_attempts: 2, delay: 100s}}\n"
    )

    async def story(world: World) -> None:
        end = await world.run(text)
        assert len(step_of(end, "a").attempts) == tries
        assert (end.run.status, end.run.reason) == ("failed", "task_failed"), "and not by the time-out"
        assert world.loop.time() == pytest.approx((tries - 1) * 100)

    in_world(tmp_path, story, lambda spec: Script(exit_code=1))
