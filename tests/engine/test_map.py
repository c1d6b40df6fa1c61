"""Map steps: order, bounds, failures and their tolerance, per-item retry."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.events import EventType
from engine.orchestrator.task_attempt import TaskAttempt
from tests.engine.world import World, in_world, prints, step_of

MAP = """
name: map
state: {{numbers: {numbers}}}
steps:
  - id: square
    type: map
    command: ["x"]
    env_vars: {{N: "{{{{ $.n }}}}"}}
    map_config: {{input_path: numbers, item_alias: n{more}}}
"""


def document(numbers: object, more: str = "") -> str:
    return MAP.format(numbers=json.dumps(numbers), more=f", {more}" if more else "")


def square(spec: AgentSpec) -> Script:
    number = int(spec.env["N"])
    if number < 0:
        return Script(exit_code=1, stderr="negative")
    # Later items end sooner: the order of results must not be the order of completion.
    return prints(number * number, delay=100 - number)


def test_results_are_in_input_order_and_in_the_state(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(document([3, 1, 2]))
        assert detail.state["square_results"] == [9, 1, 4]
        step = step_of(detail, "square")
        assert step.result == [9, 1, 4]
        assert [(item.index, item.value, item.result) for item in step.items] == [
            (0, 3, 9),
            (1, 1, 1),
            (2, 2, 4),
        ]

    in_world(tmp_path, story, square)


def test_an_attempt_that_is_over_takes_its_input_along(tmp_path: Path) -> None:
    # Thousands of items would keep thousands of inputs, were they only found by looking for circles.
    async def story(world: World) -> None:
        await world.run(document(list(range(20))))
        assert not [found for found in gc.get_objects() if isinstance(found, TaskAttempt)]

    gc.collect()
    gc.disable()
    try:
        in_world(tmp_path, story, square)
    finally:
        gc.enable()


def test_an_item_gets_its_alias_index_and_value(tmp_path: Path) -> None:
    seen: list[AgentSpec] = []

    def behaviour(spec: AgentSpec) -> Script:
        seen.append(spec)
        return Script()

    async def story(world: World) -> None:
        await world.run(document([{"u": 1}]))
        env = seen[0].env
        assert (env["MAP_INDEX"], json.loads(env["MAP_ITEM"])) == ("0", {"u": 1})
        given = json.loads(env["TASK_INPUT"])
        assert given["n"] == {"u": 1}
        assert given["_map_index"] == 0

    in_world(tmp_path, story, behaviour)


def test_max_concurrency_is_never_exceeded_and_always_used(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.run(document(list(range(40)), "max_concurrency: 5"))
        assert world.backend.most_running == 5
        assert world.loop.time() == pytest.approx(8.0)

    in_world(tmp_path, story, lambda spec: Script(delay=1))


def test_zero_means_only_the_machines_bound(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.run(document(list(range(40)), "max_concurrency: 0"))
        assert world.backend.most_running == 10

    in_world(tmp_path, story, lambda spec: Script(delay=1), max_tasks=10)


def test_an_empty_list_completes_with_an_empty_list(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(document([]))
        assert detail.run.status == "completed"
        assert detail.state["square_results"] == []

    in_world(tmp_path, story, square)


@pytest.mark.parametrize("value", ["text", {"a": 1}, 7, None])
def test_a_map_over_something_else_is_an_input_error(tmp_path: Path, value: object) -> None:
    async def story(world: World) -> None:
        detail = await world.run(document(value))
        step = step_of(detail, "square")
        assert (step.status, step.reason) == ("failed", "input_error")
        assert "numbers" in (step.error or "")
        assert detail.run.status == "failed"

    in_world(tmp_path, story, square)


def test_a_map_over_a_missing_path_is_an_input_error(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(document([1]).replace("input_path: numbers", "input_path: $.no.such"))
        step = step_of(detail, "square")
        assert step.reason == "input_error"
        assert "$.no.such" in (step.error or "")

    in_world(tmp_path, story, square)


def test_fail_fast_stops_siblings_and_keeps_the_records_of_all(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(document([1, -1, 2], "error_handling: fail_fast"))
        step = step_of(detail, "square")
        assert step.status == "failed"
        assert [item.status for item in step.items] == ["cancelled", "failed", "cancelled"]
        assert "1 of 3 failed, the first: item 1" in (step.error or "")
        assert detail.run.status == "failed"

    in_world(tmp_path, story, square)


def test_continue_on_error_completes_the_step_and_the_run_only_partially(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(document([1, -1, 2], "error_handling: continue_on_error"))
        assert step_of(detail, "square").status == "completed"
        assert detail.state["square_results"] == [1, None, 4]
        assert [error["index"] for error in detail.state["square_errors"]] == [1]
        assert detail.run.status == "partially_completed"

    in_world(tmp_path, story, square)


def test_all_items_failed_is_a_failure_in_any_mode(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        more = "error_handling: continue_on_error, tolerated_failure_count: 9"
        detail = await world.run(document([-1, -2], more))
        assert step_of(detail, "square").status == "failed"
        assert detail.run.status == "failed"

    in_world(tmp_path, story, square)


@pytest.mark.parametrize(
    ("tolerance", "failures", "status"),
    [
        ("tolerated_failure_count: 2", 2, "completed"),
        ("tolerated_failure_count: 2", 3, "failed"),
        ("tolerated_failure_percentage: 30", 3, "completed"),
        ("tolerated_failure_percentage: 30", 4, "failed"),
        ("tolerated_failure_count: 5, tolerated_failure_percentage: 20", 3, "failed"),
        ("tolerated_failure_count: 0", 0, "completed"),
    ],
)
@pytest.mark.parametrize("handling", ["continue_on_error", "fail_fast"])
def test_the_tolerance_is_exact_at_its_boundary(
    tmp_path: Path, tolerance: str, failures: int, status: str, handling: str
) -> None:
    numbers = [-1] * failures + [1] * (10 - failures)

    async def story(world: World) -> None:
        detail = await world.run(document(numbers, f"error_handling: {handling}, {tolerance}"))
        assert step_of(detail, "square").status == status
        assert detail.run.status == status

    in_world(tmp_path, story, square)


def test_an_item_is_retried_alone_and_gives_its_place_back_while_it_waits(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        flaky = spec.env["MAP_INDEX"] == "0" and spec.identity.attempt < 3
        return Script(delay=1, exit_code=1 if flaky else 0)

    async def story(world: World) -> None:
        text = document(list(range(4)), "max_concurrency: 1").replace(
            'command: ["x"]',
            'command: ["x"]\n    retry_policy: {max_attempts: 3, backoff: exponential, delay: 2s}',
        )
        detail = await world.run(text)
        items = step_of(detail, "square").items
        assert [len(item.attempts) for item in items] == [3, 1, 1, 1]
        # 6 attempts of 1 s, one at a time; the waits of 2 s and 4 s are hidden behind the siblings' work
        # except for the last: attempt 2 starts at 3 s and ends at 4 s, attempt 3 starts at 8 s.
        assert world.loop.time() == pytest.approx(9.0)
        assert world.backend.most_running == 1

    in_world(tmp_path, story, behaviour)


def test_many_items_are_not_begun_all_at_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(document(list(range(2_000)), "max_concurrency: 5"))
        assert detail.run.status == "completed"
        assert world.backend.most_running == 5
        events = await world.events(detail.run.id)
        assert sum(event.type is EventType.ITEM_FINISHED for event in events) == 2_000

    in_world(tmp_path, story, lambda spec: Script())
