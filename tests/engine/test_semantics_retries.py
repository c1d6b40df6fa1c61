"""Rules about retries of runs that no other test holds: what stands, what runs again, gates in between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.history.records import RunDetail
from engine.orchestrator.scopes import RetryScope
from tests.engine.world import World, ends, in_world, plan_of, statuses, step_of, until

# Two ways from `a`: b -> d and c -> e; `unwanted` is what its name says, `join` waits for all.
GRAPH = """
name: graph
params: {who: {default: nobody}}
config: {failure_strategy: continue}
steps:
  - {id: a, command: ["x"], depends_on: []}
  - {id: b, command: ["x"], depends_on: [a], failure_strategy: fail_fast}
  - {id: c, command: ["x", "{{ $.params.who }}"], depends_on: [a]}
  - {id: unwanted, command: ["x"], depends_on: [a], when: {field: $.never, operator: exists}}
  - {id: d, command: ["x"], depends_on: [b]}
  - {id: e, command: ["x"], depends_on: [c]}
  - {id: join, command: ["x"], depends_on: [d, e, unwanted]}
"""


class Bench:
    """Steps in `broken` fail, those in `endless` go on for ever. `ran` has what ran of each run, in order."""

    def __init__(self, *, broken: str = "", endless: str = "") -> None:
        self.broken = set(broken.split())
        self.endless = set(endless.split())
        self.ran: dict[str, list[str]] = {}
        self.commands: dict[tuple[str, str], Any] = {}

    def __call__(self, spec: AgentSpec) -> Script:
        step, run = spec.identity.step_id, spec.identity.run_id
        if step not in self.ran.setdefault(run, []):
            self.ran[run].append(step)
        self.commands[run, step] = spec.command
        return Script(exit_code=int(step in self.broken), delay=None if step in self.endless else 1)

    def mend(self) -> None:
        """From now on everything is good."""
        self.broken.clear()
        self.endless.clear()


async def retry(world: World, first: RunDetail, document: str, **scope: Any) -> RunDetail:
    run_id = await world.orchestrator.retry(plan_of(document), first, RetryScope(**scope), source="test")
    return await world.finish(run_id)


@pytest.mark.parametrize(
    ("scope", "ran"),
    [
        ({}, {"a", "b", "c", "d", "e", "join"}),
        ({"from_step": "a"}, {"a", "b", "c", "d", "e", "join"}),
        ({"from_step": "c"}, {"c", "e", "join"}),
        ({"from_step": "join"}, {"join"}),
        ({"only_step": "c"}, {"c"}),
    ],
)
def test_each_scope_of_a_retry_runs_just_what_it_says(
    tmp_path: Path, scope: dict[str, str], ran: set[str]
) -> None:
    bench = Bench()

    async def story(world: World) -> None:
        first = await world.run(GRAPH)
        second = await retry(world, first, GRAPH, **scope)
        assert set(bench.ran[second.run.id]) == ran
        again = ran | ({"unwanted"} if "a" in ran else set())
        assert {step.id for step in second.steps if step.reused} == set(statuses(second)) - again
        assert ends(second) == ends(first), "what was not wanted is still not wanted"

    in_world(tmp_path, story, bench)


def test_a_retry_from_a_step_also_runs_what_had_failed_before_it(tmp_path: Path) -> None:
    bench = Bench(broken="c")

    async def story(world: World) -> None:
        first = await world.run(GRAPH)
        assert statuses(first)["join"] == "completed"
        bench.mend()
        second = await retry(world, first, GRAPH, from_step="join")
        assert sorted(bench.ran[second.run.id]) == ["c", "e", "join"]
        assert second.run.status == "completed"

    in_world(tmp_path, story, bench)


def test_what_a_cancel_stopped_counts_as_failed(tmp_path: Path) -> None:
    bench = Bench(endless="e")

    async def story(world: World) -> None:
        run_id = await world.start(GRAPH)
        await until(lambda: "e" in bench.ran.get(run_id, ()))
        await asyncio.sleep(5)
        await world.orchestrator.cancel(run_id, by="test")
        first = await world.finish(run_id)
        assert statuses(first)["d"] == "completed"
        bench.mend()
        second = await retry(world, first, GRAPH, failed=True)
        assert bench.ran[second.run.id] == ["e", "join"]
        assert second.run.status == "completed"

    in_world(tmp_path, story, bench)


def test_a_retry_has_the_params_of_the_run_that_it_retries(tmp_path: Path) -> None:
    bench = Bench()

    async def story(world: World) -> None:
        first = await world.run(GRAPH, who="ada")
        second = await retry(world, first, GRAPH, from_step="c")
        assert second.run.params == {"who": "ada"}
        assert bench.commands[second.run.id, "c"] == ("x", "ada")
        assert (second.run.retry_of, second.run.source) == (first.run.id, "test")

    in_world(tmp_path, story, bench)


def test_the_run_that_is_retried_stays_as_it_was(tmp_path: Path) -> None:
    bench = Bench(broken="b")

    async def story(world: World) -> None:
        first = await world.run(GRAPH)
        bench.mend()
        await retry(world, first, GRAPH, failed=True)
        assert await world.detail(first.run.id) == first

    in_world(tmp_path, story, bench)


GATED = """
name: gated
steps:
  - {id: go, approval: {message: "Go?"}}
  - {id: work, command: ["x"]}
"""


async def answered(world: World, run_id: str, *, approved: bool) -> RunDetail:
    await until(lambda: bool(world.orchestrator.gates(run_id)))
    world.orchestrator.answer(run_id, "go", approved=approved, by="ada")
    return await world.finish(run_id)


def test_a_gate_that_was_rejected_asks_again_in_a_retry(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        first = await answered(world, await world.start(GATED), approved=False)
        run_id = await world.orchestrator.retry(plan_of(GATED), first, RetryScope(failed=True), source="test")
        second = await answered(world, run_id, approved=True)
        assert statuses(second) == {"go": "completed", "work": "completed"}

    in_world(tmp_path, story)


def test_a_gate_that_was_approved_does_not_ask_again(tmp_path: Path) -> None:
    bench = Bench(broken="work")

    async def story(world: World) -> None:
        first = await answered(world, await world.start(GATED), approved=True)
        bench.mend()
        second = await retry(world, first, GATED, failed=True)
        assert step_of(second, "go").reused
        assert step_of(second, "go").result == step_of(first, "go").result
        assert second.run.status == "completed"

    in_world(tmp_path, story, bench)
