"""Retry of a run: what is taken over, what runs again, and the state it begins with."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.errors import UsageError
from engine.history.records import RunDetail
from engine.orchestrator.scopes import RetryScope
from tests.engine.world import World, in_world, plan_of, prints, statuses, step_of

CHAIN = """
name: chain
steps:
  - {id: a, command: ["x"]}
  - {id: b, command: ["x"], env_vars: {SEEN: "{{ $.a_says }}"}}
  - {id: c, command: ["x"]}
"""


class Flaky:
    """Steps in `broken` fail; the others say their name. Remembers what ran, run by run."""

    def __init__(self, *broken: str) -> None:
        self.broken = set(broken)
        self.ran: dict[str, list[str]] = {}
        self.specs: dict[tuple[str, str], AgentSpec] = {}

    def __call__(self, spec: AgentSpec) -> Script:
        step, run = spec.identity.step_id, spec.identity.run_id
        unit = step if spec.identity.item is None else f"{step}.{spec.identity.item}"
        self.specs[run, unit] = spec
        if unit not in self.ran.setdefault(run, []):
            self.ran[run].append(unit)
        return Script(exit_code=1) if unit in self.broken else prints({f"{step}_says": f"i am {step}"})


async def retry(world: World, detail: RunDetail, document: str, **scope: object) -> RunDetail:
    with world.loop.outside():
        run_id = await world.orchestrator.retry(
            plan_of(document),
            detail,
            RetryScope(**scope),  # type: ignore[arg-type]
            source="test",
        )
    return await world.finish(run_id)


def test_failed_scope_reruns_what_failed_and_what_follows(tmp_path: Path) -> None:
    flaky = Flaky("b")

    async def story(world: World) -> None:
        first = await world.run(CHAIN)
        assert statuses(first) == {"a": "completed", "b": "failed", "c": "skipped"}
        flaky.broken.clear()
        second = await retry(world, first, CHAIN, failed=True)
        assert second.run.retry_of == first.run.id
        assert second.run.status == "completed"
        assert flaky.ran[second.run.id] == ["b", "c"]
        assert step_of(second, "a").reused
        assert flaky.specs[second.run.id, "b"].env["SEEN"] == "i am a"
        assert second.state == {"a_says": "i am a", "b_says": "i am b", "c_says": "i am c"}

    in_world(tmp_path, story, flaky)


def test_state_is_restored_as_it_was_before_the_step(tmp_path: Path) -> None:
    flaky = Flaky()

    async def story(world: World) -> None:
        first = await world.run(CHAIN)
        second = await retry(world, first, CHAIN, from_step="c")
        assert flaky.ran[second.run.id] == ["c"]
        assert second.state == first.state
        third = await retry(world, second, CHAIN, from_step="b")
        assert flaky.ran[third.run.id] == ["b", "c"]
        # What b and c had said in the first run was not there when b ran again.
        assert '"c_says"' not in flaky.specs[third.run.id, "b"].env["TASK_INPUT"]
        assert '"a_says"' in flaky.specs[third.run.id, "b"].env["TASK_INPUT"]

    in_world(tmp_path, story, flaky)


def test_only_scope_reruns_one_step_and_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    flaky = Flaky()

    async def story(world: World) -> None:
        first = await world.run(CHAIN)
        second = await retry(world, first, CHAIN, only_step="b")
        assert flaky.ran[second.run.id] == ["b"]
        assert statuses(second) == dict.fromkeys("abc", "completed")

    in_world(tmp_path, story, flaky)


GROUP = """
name: group
config: {failure_strategy: continue}
steps:
  - id: group
    type: parallel
    steps:
      - {id: one, command: ["x"]}
      - {id: two, command: ["x"]}
      - {id: three, command: ["x"]}
"""


@pytest.mark.parametrize(("still", "group"), [([], "completed"), (["three"], "failed")])
def test_only_scope_reruns_a_member_and_its_group_ends_with_all_of_them_anew(
    tmp_path: Path, still: list[str], group: str
) -> None:
    flaky = Flaky("two", *still)

    async def story(world: World) -> None:
        first = await world.run(GROUP)
        assert step_of(first, "group").status == "failed"
        flaky.broken.discard("two")
        second = await retry(world, first, GROUP, only_step="two")
        assert flaky.ran[second.run.id] == ["two"]
        assert {"two": "completed", "group": group}.items() <= statuses(second).items()
        assert step_of(second, "three").reused

    in_world(tmp_path, story, flaky)


def test_whole_scope_takes_nothing_over(tmp_path: Path) -> None:
    flaky = Flaky()

    async def story(world: World) -> None:
        first = await world.run(CHAIN)
        second = await retry(world, first, CHAIN)
        assert flaky.ran[second.run.id] == ["a", "b", "c"]
        assert not any(step.reused for step in second.steps)

    in_world(tmp_path, story, flaky)


def test_failed_items_run_again_and_completed_ones_do_not(tmp_path: Path) -> None:
    flaky = Flaky("m.1")
    document = (
        "name: items\nstate: {things: [10, 11, 12]}\nsteps:\n"
        "  - id: m\n    type: map\n    command: ['x']\n"
        "    map_config: {input_path: things, error_handling: continue_on_error}\n"
        "  - {id: sum, type: reduce, command: ['x']}\n"
    )

    async def story(world: World) -> None:
        first = await world.run(document)
        assert first.run.status == "partially_completed"
        flaky.broken.clear()
        second = await retry(world, first, document, failed=True)
        assert flaky.ran[second.run.id] == ["m.1", "sum"]
        assert second.run.status == "completed"
        assert second.state["m_results"] == [{"m_says": "i am m"}] * 3
        assert "m_errors" not in second.state

    in_world(tmp_path, story, flaky)


def test_wrong_scopes_are_refused_in_words(tmp_path: Path) -> None:
    flaky = Flaky("b")

    async def story(world: World) -> None:
        first = await world.run(CHAIN)
        with pytest.raises(UsageError, match="no step 'zz'"):
            await retry(world, first, CHAIN, from_step="zz")
        with pytest.raises(UsageError, match="needs b"):
            await retry(world, first, CHAIN, only_step="c")
        flaky.broken.clear()
        good = await world.run(CHAIN)
        with pytest.raises(UsageError, match="nothing failed"):
            await retry(world, good, CHAIN, failed=True)

    in_world(tmp_path, story, flaky)
