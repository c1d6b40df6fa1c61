"""Memoised steps: what is used again, what is not, and what a hit does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec, PullPolicy
from engine.agents.memory import Script
from engine.errors import BackendError, Reason
from engine.events import Event, EventType
from engine.history.records import RunDetail
from tests.engine.world import World, in_world, plan_of, prints, step_of, until

CACHED = """
name: cached
state: {n: 1}
steps:
  - id: work
    image: tool:1
    command: ["compute", "{{ $.n }}"]
    env_vars: {MODE: fast}
    cache: true
  - {id: after, image: tool:1, command: ["x"]}
"""


class Bench:
    """A world whose agents count: `done` has the id of the step and the item of every task that ran."""

    def __init__(self, world: World, done: list[tuple[str, int | None]]) -> None:
        self.world = world
        self.done = done

    async def run(self, document: str, *, use_cache: bool = True) -> RunDetail:
        """Run a text to its end."""
        run_id = await self.world.orchestrator.start(
            plan_of(document), {}, source="test", use_cache=use_cache
        )
        return await self.world.finish(run_id)

    async def end_of(self, detail: RunDetail, step_id: str = "work", item: int | None = None) -> Event:
        """The finishing event of a step or item."""
        events = await self.world.events(detail.run.id)
        kind = EventType.STEP_FINISHED if item is None else EventType.ITEM_FINISHED
        return next(
            event for event in events if (event.type, event.step_id, event.item) == (kind, step_id, item)
        )

    def works(self, step_id: str = "work") -> int:
        """How many tasks of a step ran."""
        return sum(step == step_id for step, _ in self.done)


def bench(
    tmp_path: Path,
    story: Callable[[Bench], Any],
    script: Callable[[AgentSpec], Script] = lambda spec: Script(),
) -> None:
    done: list[tuple[str, int | None]] = []

    def behaviour(spec: AgentSpec) -> Script:
        made = script(spec)

        async def note(_: AgentSpec) -> None:
            done.append((spec.identity.step_id, spec.identity.item))
            if made.action is not None:
                await made.action(spec)

        return replace(made, action=note)

    in_world(tmp_path, lambda world: story(Bench(world, done)), behaviour)


def answers(spec: AgentSpec) -> Script:
    return prints({"answer": 42}) if spec.identity.step_id == "work" else Script()


def test_the_same_work_is_done_once_and_its_result_used_again(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        first = await bench.run(CACHED)
        second = await bench.run(CACHED)
        assert bench.works() == 1
        assert bench.works("after") == 2
        step = step_of(second, "work")
        assert (step.status, step.reused, step.result, step.attempts) == (
            "completed",
            True,
            {"answer": 42},
            (),
        )
        assert not step_of(first, "work").reused
        assert second.state == first.state == {"n": 1, "answer": 42}
        end = await bench.end_of(second)
        assert end.data["cached_from"] == {"run_id": first.run.id, "step_id": "work"}
        assert "cache_key" in (await bench.end_of(first)).data
        assert "cache_key" not in end.data

    bench(tmp_path, story, answers)


def test_a_hit_reaches_the_tasks_that_come_after(tmp_path: Path) -> None:
    seen: list[Any] = []

    def script(spec: AgentSpec) -> Script:
        if spec.identity.step_id == "after":
            seen.append(json.loads(spec.env["TASK_INPUT"]))
        return answers(spec)

    async def story(bench: Bench) -> None:
        await bench.run(CACHED)
        second = await bench.run(CACHED)
        assert seen[-1] == {"n": 1, "answer": 42}
        live = await bench.world.store.read_state(second.run.id)
        assert live == {"n": 1, "answer": 42}

    bench(tmp_path, story, script)


def test_what_a_task_did_to_the_state_itself_is_done_again(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        store = bench.world.store

        async def write(spec: AgentSpec) -> None:
            run_id = spec.identity.run_id
            await store.hset(run_id, "seen", '"yes"')
            await store.rpush(run_id, "parts", "1")
            await store.rpush(run_id, "parts", "2")
            await store.sadd(run_id, "kinds", '"a"')

        actions.append(write)
        first = await bench.run(CACHED)
        second = await bench.run(CACHED)
        assert bench.works() == 1
        assert second.state == first.state == {"n": 1, "seen": "yes", "parts": [1, 2], "kinds": ["a"]}
        assert store.collections(second.run.id) == {"parts": "list", "kinds": "set"}

    actions: list[Any] = []

    def script(spec: AgentSpec) -> Script:
        return Script(action=actions[0]) if spec.identity.step_id == "work" else Script()

    bench(tmp_path, story, script)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{n: 1}", "{n: 2}"),
        ("{n: 1}", "{n: 1, other: 2}"),
        ('"compute"', '"calculate"'),
        ("MODE: fast", "MODE: slow"),
        ("MODE: fast", "MODE: fast, MORE: x"),
        ("image: tool:1\n    command", "image: tool:2\n    command"),
        ("cache: true", "working_dir: /elsewhere\n    cache: true"),
        ("name: cached", "name: another"),
    ],
)
def test_whatever_goes_into_the_work_makes_it_other_work(tmp_path: Path, before: str, after: str) -> None:
    async def story(bench: Bench) -> None:
        await bench.run(CACHED)
        changed = CACHED.replace(before, after)
        assert changed != CACHED
        second = await bench.run(changed)
        assert not step_of(second, "work").reused
        assert bench.works() == 2

    bench(tmp_path, story, answers)


def test_an_image_of_the_same_name_and_other_content_makes_it_other_work(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        bench.world.backend.digests["tool:1"] = "sha256:aaa"
        await bench.run(CACHED)
        bench.world.backend.digests["tool:1"] = "sha256:bbb"
        assert not step_of(await bench.run(CACHED), "work").reused
        bench.world.backend.digests["tool:1"] = "sha256:aaa"
        assert step_of(await bench.run(CACHED), "work").reused

    bench(tmp_path, story, answers)


def test_an_image_that_cannot_be_identified_is_a_warning_and_nothing_is_remembered(tmp_path: Path) -> None:
    async def story(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        async def unknown(image: str, policy: PullPolicy) -> str:
            raise BackendError(Reason.IMAGE_ERROR, f"{image} is a riddle", transient=True)

        monkeypatch.setattr(bench.world.backend, "image_digest", unknown)
        first, second = await bench.run(CACHED), await bench.run(CACHED)
        assert (first.run.status, second.run.status, bench.works()) == ("completed", "completed", 2)
        warnings = [
            event.data["message"]
            for event in await bench.world.events(second.run.id)
            if event.type is EventType.WARNING
        ]
        assert any("tool:1 is a riddle" in warning for warning in warnings)
        assert "cache_key" not in (await bench.end_of(first)).data

    with pytest.MonkeyPatch.context() as monkeypatch:
        bench(tmp_path, lambda made: story(made, monkeypatch), answers)


def test_a_key_of_ones_own_ignores_what_it_does_not_name(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        keyed = CACHED.replace("cache: true", 'cache: {key: "n={{ $.n }}"}')
        await bench.run(keyed)
        second = await bench.run(keyed.replace("fast", "slow"))
        assert step_of(second, "work").reused
        third = await bench.run(keyed.replace("{n: 1}", "{n: 2}"))
        assert not step_of(third, "work").reused
        other = await bench.run(keyed.replace("id: work", "id: work2"))
        assert not step_of(other, "work2").reused

    bench(tmp_path, story, answers)


def test_a_key_that_cannot_be_evaluated_is_an_input_error(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        end = await bench.run(CACHED.replace("cache: true", 'cache: {key: "{{ $.no.such }}"}'))
        step = step_of(end, "work")
        assert (step.status, step.reason) == ("failed", "input_error")
        assert "$.no.such" in (step.error or "")
        assert bench.done == []

    bench(tmp_path, story, answers)


@pytest.mark.parametrize(("later", "reused"), [(3500.0, True), (3700.0, False)])
def test_older_results_than_max_age_are_not_used(tmp_path: Path, later: float, reused: bool) -> None:
    async def story(bench: Bench) -> None:
        aged = CACHED.replace("cache: true", "cache: {max_age: 1h}")
        await bench.run(aged)
        await asyncio.sleep(later)
        assert step_of(await bench.run(aged), "work").reused is reused

    bench(tmp_path, story, answers)


def test_failures_are_not_remembered(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        first = await bench.run(CACHED)
        assert (await bench.run(CACHED)).run.status == "failed"
        assert bench.works() == 2
        assert "cache_key" not in (await bench.end_of(first)).data

    bench(tmp_path, story, lambda spec: Script(exit_code=1))


def test_without_the_cache_everything_is_done_anew_and_remembered(tmp_path: Path) -> None:
    counter = iter(range(100))
    numbers: dict[str, int] = {}

    def script(spec: AgentSpec) -> Script:
        if spec.identity.step_id != "work":
            return Script()
        if spec.name not in numbers:
            numbers[spec.name] = next(counter)
        return prints({"answer": numbers[spec.name]})

    async def story(bench: Bench) -> None:
        await bench.run(CACHED)
        second = await bench.run(CACHED, use_cache=False)
        assert (second.state["answer"], step_of(second, "work").reused) == (1, False)
        third = await bench.run(CACHED)
        assert (third.state["answer"], step_of(third, "work").reused) == (1, True)

    bench(tmp_path, story, script)


MAP = """
name: items
state: {things: %s}
steps:
  - id: work
    type: map
    command: ["x"]
    map_config: {input_path: things, item_alias: it}
    cache: {key: "{{ $.it }}"}
"""


def test_items_are_remembered_one_by_one_wherever_they_stand(tmp_path: Path) -> None:
    def script(spec: AgentSpec) -> Script:
        return prints(json.loads(spec.env["MAP_ITEM"]) * 10)

    async def story(bench: Bench) -> None:
        first = await bench.run(MAP % "[1, 2, 3]")
        second = await bench.run(MAP % "[3, 4, 1]")
        assert second.state["work_results"] == [30, 40, 10]
        assert [item.reused for item in step_of(second, "work").items] == [True, False, True]
        assert bench.works() == 4
        end = await bench.end_of(second, item=0)
        assert end.data["cached_from"] == {"run_id": first.run.id, "step_id": "work", "item": 2}

    bench(tmp_path, story, script)


def test_workers_are_remembered_one_by_one(tmp_path: Path) -> None:
    document = (
        "name: w\nstate: {hosts: %s}\nsteps:\n  - {id: work, type: parallel, command: [x],"
        " workers_path: $.hosts, cache: {key: '{{ $.worker_item }}'}}\n"
    )

    async def story(bench: Bench) -> None:
        await bench.run(document % "[a, b]")
        second = await bench.run(document % "[b, c]")
        assert [item.reused for item in step_of(second, "work").items] == [True, False]
        assert second.state["work_results"] == ["b", "c"]

    bench(tmp_path, story, lambda spec: prints(json.loads(spec.env["WORKER_ITEM"])))


def test_work_that_a_crash_interrupted_is_not_looked_up_nor_remembered_under_a_wrong_key(
    tmp_path: Path,
) -> None:
    async def story(bench: Bench) -> None:
        world = bench.world

        async def spoil(spec: AgentSpec) -> None:
            await world.store.hset(spec.identity.run_id, "n", "2")

        actions.append(spoil)
        run_id = await world.start(CACHED)
        await until(lambda: bench.works() == 1)
        await world.recover(await world.crash(run_id), CACHED)
        # The input of what was done had n = 1, though the state has n = 2 when the work goes on.
        other = await bench.run(CACHED.replace("{n: 1}", "{n: 2}"))
        assert not step_of(other, "work").reused

    actions: list[Any] = []

    def script(spec: AgentSpec) -> Script:
        if spec.identity.step_id != "work":
            return Script()
        return Script(delay=30, action=actions[0], stdout="{}")

    bench(tmp_path, story, script)
