"""Batches, conditions of items, nested lists, dynamic workers, and what a reduce step gets of all that."""

from __future__ import annotations

import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.events import EventType
from engine.history.records import RunDetail
from tests.engine.world import World, by_step, in_world, prints, step_of

MAP = """
name: map
state: {things: %s}
steps:
  - id: m
    type: map
    command: ["x"]
    map_config: {input_path: %s, item_alias: it%s}
"""


def document(things: object, more: str = "", path: str = "things") -> str:
    return MAP % (json.dumps(things), path, f", {more}" if more else "")


def given(spec: AgentSpec) -> Any:
    return json.loads(spec.env["TASK_INPUT"])


def echo(spec: AgentSpec) -> Script:
    return prints(given(spec)["it"])


def run(tmp_path: Path, text: str, behaviour: Any = echo) -> RunDetail:
    async def story(world: World) -> RunDetail:
        return await world.run(text)

    return in_world(tmp_path, story, behaviour)


@pytest.mark.parametrize(
    ("size", "batches"),
    [
        (1, [1, 2, 3, 4, 5]),
        (2, [[1, 2], [3, 4], [5]]),
        (5, [[1, 2, 3, 4, 5]]),
        (99, [[1, 2, 3, 4, 5]]),
    ],
)
def test_batches_group_elements_and_the_last_may_be_smaller(
    tmp_path: Path, size: int, batches: list[Any]
) -> None:
    end = run(tmp_path, document([1, 2, 3, 4, 5], f"batch_size: {size}"))
    assert [item.value for item in step_of(end, "m").items] == batches
    assert end.state["m_results"] == batches


def test_an_empty_list_has_no_batches(tmp_path: Path) -> None:
    assert run(tmp_path, document([], "batch_size: 3")).state["m_results"] == []


def test_lists_of_lists_and_of_objects_are_items_as_they_are(tmp_path: Path) -> None:
    things = [[1, [2]], [], {"a": {"b": [None]}}, "x", None]
    assert run(tmp_path, document(things)).state["m_results"] == things


def test_a_path_with_wildcards_flattens(tmp_path: Path) -> None:
    end = run(tmp_path, document([[1, 2], [3]], path="'$.things[*][*]'"))
    assert end.state["m_results"] == [1, 2, 3]


EVEN = "condition: {field: $.it.wanted, operator: eq, value: true}"


def wanted(*flags: bool) -> list[dict[str, bool]]:
    return [{"wanted": flag} for flag in flags]


def test_an_item_that_its_condition_does_not_want_is_skipped(tmp_path: Path) -> None:
    end = run(tmp_path, document(wanted(True, False, True), EVEN))
    items = step_of(end, "m").items
    assert [(item.status, item.reason) for item in items] == [
        ("completed", None),
        ("skipped", "condition_false"),
        ("completed", None),
    ]
    assert items[1].attempts == ()
    assert end.state["m_results"] == [{"wanted": True}, None, {"wanted": True}]
    assert "m_errors" not in end.state
    assert end.run.status == "completed"


def test_the_condition_sees_the_index(tmp_path: Path) -> None:
    more = "condition: {field: $._map_index, operator: gte, value: 2}"
    assert run(tmp_path, document(["a", "b", "c"], more)).state["m_results"] == [None, None, "c"]


def test_all_items_skipped_is_a_completed_map(tmp_path: Path) -> None:
    end = run(tmp_path, document(wanted(False, False), EVEN))
    assert (end.run.status, end.state["m_results"]) == ("completed", [None, None])


@pytest.mark.parametrize("handling", ["continue_on_error", "fail_fast"])
@pytest.mark.parametrize(
    ("ran", "skipped", "failures", "status"),
    [(4, 6, 2, "completed"), (3, 7, 2, "failed"), (4, 0, 2, "completed"), (4, 96, 3, "failed")],
)
def test_a_tolerated_percentage_is_of_the_items_that_ran(
    tmp_path: Path, handling: str, ran: int, skipped: int, failures: int, status: str
) -> None:
    things = [{"wanted": True, "bad": index < failures} for index in range(ran)] + wanted(*[False] * skipped)
    more = f"{EVEN}, error_handling: {handling}, tolerated_failure_percentage: 50"
    end = run(tmp_path, document(things, more), lambda spec: Script(exit_code=int(given(spec)["it"]["bad"])))
    assert step_of(end, "m").status == status


def test_all_that_ran_failed_is_a_failure_though_others_were_skipped(tmp_path: Path) -> None:
    more = f"{EVEN}, error_handling: continue_on_error"
    end = run(tmp_path, document(wanted(True, False), more), lambda spec: Script(exit_code=1))
    assert step_of(end, "m").status == "failed"
    assert "1 of 1 failed" in (step_of(end, "m").error or "")


def test_after_a_crash_skipped_items_stay_skipped(tmp_path: Path) -> None:
    text = document(wanted(False, True, True), f"{EVEN}, max_concurrency: 1")

    async def story(world: World) -> None:
        run_id = await world.start(text)
        while not world.backend.started:
            await world.clock.sleep(1)
        detail = await world.crash(run_id)
        end = await world.recover(detail, text)
        assert [item.status for item in step_of(end, "m").items] == ["skipped", "completed", "completed"]
        assert end.run.status == "completed"

    in_world(tmp_path, story, lambda spec: Script(delay=10))


WORKERS = """
name: workers
state: {hosts: %s}
steps:
  - {id: p, type: parallel, command: ["x"], workers_path: $.hosts}
"""


def test_dynamic_workers_are_one_for_each_element(tmp_path: Path) -> None:
    seen: dict[str, AgentSpec] = {}

    def behaviour(spec: AgentSpec) -> Script:
        seen[spec.env["WORKER_ID"]] = spec
        return prints(given(spec)["worker_item"])

    end = run(tmp_path, WORKERS % '[{"name": "a"}, "b", 3]', behaviour)
    assert end.state["p_results"] == [{"name": "a"}, "b", 3]
    assert [item.value for item in step_of(end, "p").items] == [{"name": "a"}, "b", 3]
    assert json.loads(seen["0"].env["WORKER_ITEM"]) == {"name": "a"}
    assert given(seen["2"])["worker_id"] == 2


@pytest.mark.parametrize(("hosts", "status"), [("[]", "completed"), ("text", "failed"), ("{}", "failed")])
def test_dynamic_workers_of_something_else_than_a_list(tmp_path: Path, hosts: str, status: str) -> None:
    end = run(tmp_path, WORKERS % hosts, lambda spec: Script())
    step = step_of(end, "p")
    assert step.status == status
    if status == "failed":
        assert step.reason == "input_error"
        assert "workers_path" in (step.error or "")


REDUCE = """
name: reducing
config: {failure_strategy: continue}
state: {things: [1, 2, 3]}
steps:
  - id: second
    type: map
    depends_on: []
    command: ["x"]
    map_config: {input_path: things, item_alias: it, error_handling: continue_on_error}
  - {id: first, type: parallel, depends_on: [], command: ["x"], max_workers: 2}
  - id: group
    type: parallel
    depends_on: []
    steps: [{id: good, command: ["x"]}, {id: bad, command: ["x"]}]
  - {id: alone, depends_on: [], command: ["x"]}
  - {id: collect, type: reduce, depends_on: [first, alone, second, group], command: ["x"]}
"""


def test_a_reduce_step_gets_results_and_failures_in_document_order(tmp_path: Path) -> None:
    inputs: list[Any] = []

    def behaviour(spec: AgentSpec) -> Script:
        match spec.identity.step_id:
            case "collect":
                inputs.append(given(spec))
            case "second" if given(spec)["it"] == 2:
                return Script(exit_code=3)
            case "second":
                return prints(given(spec)["it"] * 10)
            case "first":
                return prints(f"worker {given(spec)['worker_id']}")
            case "good":
                return prints("good")
            case "bad":
                return Script(exit_code=4)
        return Script()

    run(tmp_path, REDUCE, behaviour)
    assert inputs[0]["_map_results"] == [10, None, 30, "worker 0", "worker 1", "good", None]
    assert inputs[0]["_map_errors"] == [
        {"step": "second", "index": 1, "reason": "task_failed", "error": "exit code 3"},
        {"step": "bad", "reason": "task_failed", "error": "exit code 4"},
    ]


def test_a_reduce_step_of_a_map_that_was_skipped_gets_nothing_of_it(tmp_path: Path) -> None:
    text = (
        "name: r\nstate: {things: [1]}\nsteps:\n"
        "  - id: m\n    type: map\n    command: [x]\n    map_config: {input_path: things}\n"
        "    condition: {field: $.things, operator: eq, value: 0}\n"
        "  - {id: collect, type: reduce, command: [x], depends_on: [m]}\n"
    )
    inputs: list[Any] = []

    def behaviour(spec: AgentSpec) -> Script:
        inputs.append(given(spec))
        return Script()

    run(tmp_path, text, behaviour)
    assert (inputs[0]["_map_results"], inputs[0]["_map_errors"]) == ([], [])


def test_the_memory_of_a_map_does_not_grow_with_its_items(tmp_path: Path) -> None:
    """The engine's own: not the results themselves, nor what stands for Redis here and what observes."""

    def held(count: int, home: Path) -> int:
        text = document(list(range(count)), "max_concurrency: 4")

        async def story(world: World) -> int:
            run_id = await world.start(text)
            peak = 0
            while world.orchestrator.active:
                gc.collect()  # what nobody holds is not held; when it is freed is the interpreter's affair
                own = tracemalloc.take_snapshot().filter_traces(
                    [
                        tracemalloc.Filter(True, "*/engine/orchestrator/*"),
                        tracemalloc.Filter(False, "*/orchestrator/naming.py"),
                    ]
                )
                peak = max(peak, sum(trace.size for trace in own.traces))
                await world.clock.sleep(50)
            assert (await world.detail(run_id)).run.status == "completed"
            return peak

        return in_world(home, story, lambda spec: Script(delay=1))

    tracemalloc.start()
    try:
        held(20, tmp_path / "warm")
        few, many = held(200, tmp_path / "few"), held(1400, tmp_path / "many")
    finally:
        tracemalloc.stop()
    assert (many - few) / 1200 < 600, f"{few} bytes with 200 items, {many} with 1400"


def test_ten_thousand_items_end_in_order(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        end = await world.run(document(list(range(10_000)), "max_concurrency: 16"))
        assert end.run.status == "completed"
        assert world.backend.most_running <= 16
        ends = [
            event.item for event in await world.events(end.run.id) if event.type is EventType.ITEM_FINISHED
        ]
        assert sorted(index for index in ends if index is not None) == list(range(10_000))

    in_world(tmp_path, story, by_step({}))
