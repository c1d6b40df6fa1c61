"""A retry with an edited document: what is taken over, what runs again, and why; previews agree with it."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.agents.memory import Script
from engine.errors import UsageError
from engine.history.records import RunDetail
from engine.orchestrator.fates import Fate
from engine.orchestrator.rerunning import RetryPreview, covered, preview
from engine.orchestrator.scopes import RetryScope
from engine.workflows.loader import load_text
from tests.engine import random_workflows as rw
from tests.engine.test_random_workflows import EXAMPLES, check_replay, tell, thorough
from tests.engine.test_retrying_runs import CHAIN, Flaky
from tests.engine.world import World, by_step, in_world, plan_of, prints, step_of


async def look(world: World, first: RunDetail, text: str, scope: RetryScope, **params: Any) -> RetryPreview:
    with world.loop.outside():
        return await preview(first, scope, plan_of(text), world.history, world.services.artifacts, params)


async def retry(world: World, first: RunDetail, text: str, scope: RetryScope, **params: Any) -> RunDetail:
    with world.loop.outside():
        run_id = await world.orchestrator.retry(plan_of(text), first, scope, source="test", params=params)
    return await world.finish(run_id)


def fates(found: RetryPreview) -> dict[str, str]:
    return {step.id: step.fate.value for step in found.rerun.decision.fates}


def whys(found: RetryPreview) -> dict[str, str]:
    return {step.id: step.why for step in found.rerun.decision.fates}


EDITED = RetryScope(failed=True, edited=True)
DAG = """
name: dag
state: {n: 1}
params: {who: {default: you}}
steps:
  - {id: a, command: ["x"], depends_on: []}
  - {id: b, command: ["x"], depends_on: [a]}
  - {id: c, command: ["x"], depends_on: [a]}
  - {id: d, command: ["x"], depends_on: [b, c]}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected", "why"),
    [
        ('id: b, command: ["x"]', 'id: b, command: ["y"]', "reused rerun reused rerun", "changed: command"),
        ('id: b, command: ["x"]', 'id: b, timeout: 9s, command: ["x"]', None, ""),
        ("{n: 1}", "{n: 2}", "rerun rerun rerun rerun", "state.n changed, which every task sees"),
        ("default: you", "default: me", "rerun rerun rerun rerun", "params.who changed"),
        ("who: {", "more: {default: 1}, who: {", None, ""),
        ("depends_on: [a]}", "depends_on: []}", "reused rerun rerun rerun", "changed: depends_on"),
    ],
)
def test_what_was_changed_and_what_follows_runs_again_and_the_rest_is_taken_over(
    tmp_path: Path, old: str, new: str, expected: str | None, why: str
) -> None:
    flaky = Flaky()

    async def story(world: World) -> None:
        first = await world.run(DAG)
        text = DAG.replace(old, new)
        if expected is None:
            with pytest.raises(UsageError, match="nothing that matters in its document was changed"):
                await look(world, first, text, EDITED)
            return
        found = await look(world, first, text, EDITED)
        assert list(fates(found).values()) == expected.split()
        assert why in whys(found)["b"]
        second = await retry(world, first, text, EDITED)
        assert (second.run.retry_of, second.run.retry_scope) == (first.run.id, "edited")
        assert second.run.digest == plan_of(text).digest
        assert sorted(flaky.ran[second.run.id]) == [
            name for name, fate in fates(found).items() if fate == "rerun"
        ]

    in_world(tmp_path, story, flaky)


def test_what_failed_runs_again_by_the_edited_document(tmp_path: Path) -> None:
    flaky = Flaky("b")

    async def story(world: World) -> None:
        first = await world.run(CHAIN)
        flaky.broken.clear()
        text = CHAIN.replace("{id: b, ", "{id: b, timeout: 5s, ")
        assert whys(await look(world, first, text, EDITED)) == {
            "a": "its result stands",
            "b": "it failed (task_failed)",
            "c": "it was not reached",
        }
        second = await retry(world, first, text, EDITED)
        assert second.run.status == "completed"
        assert flaky.ran[second.run.id] == ["b", "c"]
        assert second.state == {"a_says": "i am a", "b_says": "i am b", "c_says": "i am c"}

    in_world(tmp_path, story, flaky)


def test_steps_that_are_new_or_gone_are_named(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        first = await world.run(DAG)
        text = DAG.replace("  - {id: d,", "  - {id: n,")
        found = await look(world, first, text, EDITED)
        assert fates(found) == {"a": "reused", "b": "reused", "c": "reused", "n": "new", "d": "gone"}
        second = await retry(world, first, text, EDITED)
        assert [step.id for step in second.steps if not step.reused] == ["n"]

    in_world(tmp_path, story, Flaky())


GROUPED = """
name: grouped
steps:
  - id: group
    type: parallel
    steps:
      - {id: one, command: ["x"]}
      - {id: two, command: ["x"]}
  - {id: after, command: ["x"]}
"""


def test_of_a_group_only_the_member_that_was_changed_runs_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        first = await world.run(GROUPED)
        found = await look(
            world, first, GROUPED.replace('two, command: ["x"]', 'two, command: ["y"]'), EDITED
        )
        assert fates(found) == {"group": "rerun", "one": "reused", "two": "rerun", "after": "rerun"}
        assert whys(found)["group"] == "it holds two, which was changed"
        edges = {step.id: step.depends_on for step in found.rerun.decision.fates}
        assert edges == {"group": (), "one": ("group",), "two": ("group",), "after": ("group",)}
        without = GROUPED.replace('      - {id: two, command: ["x"]}\n', "")
        found = await look(world, first, without, EDITED)
        assert fates(found) == {"group": "rerun", "one": "reused", "after": "rerun", "two": "gone"}
        second = await retry(world, first, without, EDITED)
        assert second.run.status == "completed"

    in_world(tmp_path, story, Flaky())


def test_a_step_alone_cannot_run_by_a_document_that_changed_others(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        first = await world.run(DAG)
        text = DAG.replace('id: b, command: ["x"]', 'id: b, command: ["y"]')
        assert fates(await look(world, first, text, RetryScope(only_step="b", edited=True))) == {
            "a": "reused",
            "b": "rerun",
            "c": "reused",
            "d": "reused",
        }
        with pytest.raises(UsageError, match="b changed in the document, too"):
            await look(world, first, text, RetryScope(only_step="c", edited=True))
        found = await look(world, first, text, RetryScope(from_step="c", edited=True))
        assert fates(found) == {"a": "reused", "b": "rerun", "c": "rerun", "d": "rerun"}

    in_world(tmp_path, story, Flaky())


def test_what_had_not_completed_before_a_chosen_step_is_told_as_ineligible(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        first = await world.run(CHAIN)
        found = await look(world, first, CHAIN, RetryScope(from_step="c"))
        assert fates(found) == {"a": "ineligible", "b": "ineligible", "c": "rerun"}
        assert whys(found) == {
            "a": "it failed (task_failed)",
            "b": "it was not reached",
            "c": "it was chosen",
        }

    in_world(tmp_path, story, Flaky("a"))


def test_params_of_the_run_are_kept_and_can_be_given_anew(tmp_path: Path) -> None:
    text = DAG.replace("who: {default: you}", "who: {default: you}, level: {required: true}")

    async def story(world: World) -> None:
        first = await world.run(DAG, who="him")
        with pytest.raises(UsageError, match="param 'level' is required"):
            await retry(world, first, text, EDITED)
        scope = RetryScope(from_step="d", edited=True)
        second = await retry(world, first, text, scope, level="high")
        assert second.run.params == {"who": "him", "level": "high"}
        assert second.state["params"] == {"who": "him", "level": "high"}
        third = await retry(world, first, text, scope, level="high", who="her")
        assert not any(step.reused for step in third.steps)

    in_world(tmp_path, story, Flaky())


def test_time_saved_is_that_of_the_work_that_stands_however_long_ago_and_once_where_side_by_side(
    tmp_path: Path,
) -> None:
    scripts = {"a": Script(delay=10), "b": Script(delay=20), "c": Script(delay=15), "d": Script(delay=5)}

    async def story(world: World) -> None:
        first = await world.run(DAG)
        only_d = RetryScope(from_step="d")
        found = await look(world, first, DAG, only_d)
        assert {name: round(took) for name, took in found.worked.items()} == {"a": 10, "b": 20, "c": 15}
        assert round(found.seconds_saved) == 30
        second = await retry(world, first, DAG, only_d)
        again = await look(world, second, DAG, only_d)
        assert (again.worked, again.seconds_saved) == (found.worked, found.seconds_saved)

    in_world(tmp_path, story, by_step(scripts))


def test_items_that_stand_are_counted_and_named(tmp_path: Path) -> None:
    document = (
        "name: items\nstate: {things: [10, 11, 12]}\nsteps:\n"
        "  - {id: m, type: map, command: ['x'], map_config: {input_path: things,"
        " error_handling: continue_on_error}}\n"
    )
    flaky = Flaky("m.1")

    async def story(world: World) -> None:
        first = await world.run(document)
        [step] = (await look(world, first, document, RetryScope(failed=True))).rerun.decision.fates
        assert (step.fate, step.items) == (Fate.RERUN, frozenset({0, 2}))
        assert step.why == "parts of it failed; 2 of its 3 items stand"
        changed = document.replace("['x']", "['y']")
        [step] = (await look(world, first, changed, EDITED)).rerun.decision.fates
        assert (step.why, step.items) == ("changed: command", frozenset())

    in_world(tmp_path, story, flaky)


def test_a_child_run_begins_with_what_its_parent_gave_it_by_an_edited_document_too(tmp_path: Path) -> None:
    child = "name: child\nstate: {own: 1}\nsteps:\n  - {id: w, command: ['x']}\n  - {id: v, command: ['x']}\n"
    parent = (
        "name: parent\nstate: {given: 7}\nsteps:\n  - {id: s, type: subworkflow, sub_workflow_name: child}\n"
    )

    async def story(world: World) -> None:
        world.library["child"] = child
        whole = await world.run(parent)
        first = await world.detail(step_of(whole, "s").attempts[-1].child_run or "")
        text = child.replace("own: 1", "own: 2").replace("v, command: ['x']", "v, command: ['y']")
        second = await retry(world, first, text, EDITED)
        assert second.state["given"] == 7
        assert [step.reused for step in second.steps] == [True, False]

    in_world(tmp_path, story, lambda spec: prints({}))


def test_spans_that_overlap_count_once() -> None:
    assert covered([(0, 10), (5, 12), (20, 21)]) == 13
    assert covered([]) == 0


@settings(thorough, max_examples=EXAMPLES or 120)
@given(document=rw.documents(), seed=st.integers(0, 2**32))
def test_a_preview_says_what_the_retry_then_does_whatever_was_edited(document: rw.Step, seed: int) -> None:
    rng = random.Random(seed)

    async def story(world: World) -> None:
        before = document
        first = await world.start(rw.as_text(before))
        if rng.random() < 0.2:
            await asyncio.sleep(rng.random() * 5)
            await world.orchestrator.cancel(first, by="test")
        done = await world.finish(first)
        for _ in range(2):
            after = edited(rng, before) if rng.random() < 0.7 else before
            text = rw.as_text(after)
            if load_text(text, "random.yaml").plan is None:
                continue
            scope = _scope(rng, [step["id"] for step in after["steps"]], edited=after is not before)
            try:
                found = await look(world, done, text, scope)
            except UsageError as refused:
                with pytest.raises(UsageError) as again:
                    await retry(world, done, text, scope)
                assert str(again.value) == str(refused)
                continue
            second = await retry(world, done, text, scope)
            check_told(found, done, second)
            if after is not before and scope != RetryScope(edited=True):
                check_edited(before, after, second, only=scope.only_step)
            await check_replay(world, second)
            done, before = second, after

    tell(document, seed, story)


def edited(rng: random.Random, document: rw.Step) -> rw.Step:
    """Another version of a workflow."""
    after = copy.deepcopy(document)
    steps = after["steps"]
    kind = rng.choice(["command", "command", "manner", "state", "add", "remove", "edge"])
    step = rng.choice(steps)
    if kind == "command" and "command" in step:
        step["command"] = [f"y{rng.random()}"]
    elif kind == "manner":
        step["name"] = f"other {rng.random()}"
    elif kind == "state":
        after["state"]["list"] = [5]
    elif kind == "add":
        steps.append({"id": f"n{len(steps)}", "command": ["x"], "depends_on": [step["id"]]})
    elif kind == "remove" and len(steps) > 1:
        gone = steps.pop()["id"]
        for other in steps:
            other["depends_on"] = [name for name in other["depends_on"] if name != gone]
    elif kind == "edge":
        step["depends_on"] = []
    return after


def _scope(rng: random.Random, steps: list[str], *, edited: bool) -> RetryScope:
    kinds: list[Mapping[str, Any]] = [
        {},
        {"failed": True},
        {"failed": True},
        {"from_step": rng.choice(steps)},
        {"only_step": rng.choice(steps)},
    ]
    return RetryScope(**rng.choice(kinds), edited=edited)


def check_told(found: RetryPreview, first: RunDetail, second: RunDetail) -> None:
    """Every step of either run was told of, and became what was told."""
    told = {step.id: step for step in found.rerun.decision.fates}
    assert told.keys() == {step.id for step in (*first.steps, *second.steps)}
    for record in second.steps:
        fate = told[record.id]
        assert record.reused == (fate.fate is Fate.REUSED), fate
        assert (fate.fate is Fate.NEW) == all(record.id != old.id for old in first.steps)
        if record.items and not record.reused:
            assert {item.index for item in record.items if item.reused} == fate.items
    assert {step.id for step in told.values() if step.fate is Fate.GONE} == {
        old.id for old in first.steps if all(old.id != new.id for new in second.steps)
    }


def check_edited(before: rw.Step, after: rw.Step, second: RunDetail, *, only: str | None) -> None:
    """Nothing that was changed is taken over, nor what follows from it; written from the documents alone."""
    old = {step["id"]: step for step in before["steps"]}
    reused = {step.id for step in second.steps if step.reused}
    dirty = set(old) if before["state"] != after["state"] else set()
    for step in after["steps"]:
        was = {key: value for key, value in old.get(step["id"], {}).items() if key != "name"}
        routed = {name["id"] for name in after["steps"] if step["id"] in rw.targets_of(name)}
        changed = was != {key: value for key, value in step.items() if key != "name"}
        if changed or (only is None and {*step["depends_on"], *routed} & dirty):
            dirty.add(step["id"])
    assert not dirty & reused
