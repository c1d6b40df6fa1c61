"""Decisions, branches, joins, triggers and conditions: who runs, who is skipped, and why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.agents.memory import Script
from engine.errors import UsageError
from engine.events import EventType
from engine.orchestrator.scopes import RetryScope
from tests.engine.world import World, ends, in_world, plan_of, prints, run_once, statuses, step_of

FORK = """
name: fork
state: {n: %s}
steps:
  - id: route
    type: decision
    depends_on: []
    decision_node:
      choices:
        - {condition: {field: $.n, operator: gt, value: 10}, next: big}
        - {condition: {field: $.n, operator: gt, value: 5}, next: medium}
      default: small
  - {id: big, command: [x], depends_on: [route]}
  - {id: after_big, command: [x], depends_on: [big]}
  - {id: medium, command: [x], depends_on: [route]}
  - {id: small, command: [x], depends_on: [route]}
  - {id: join, command: [x], depends_on: [after_big, medium, small]}
"""


@pytest.mark.parametrize(
    ("n", "way"), [(50, "big"), (11, "big"), (10, "medium"), (6, "medium"), (5, "small"), (-1, "small")]
)
def test_the_first_true_choice_wins_and_only_it_runs(tmp_path: Path, n: int, way: str) -> None:
    detail = run_once(tmp_path, FORK % n)

    found = ends(detail)
    assert [name for name in ("big", "medium", "small") if found[name] == "completed"] == [way]
    assert all(found[name] == "branch_not_taken" for name in ("big", "medium", "small") if name != way)
    assert found["join"] == "completed"
    assert detail.run.status == "completed"


def test_a_skip_cascades_to_what_is_reachable_only_through_it(tmp_path: Path) -> None:
    assert ends(run_once(tmp_path, FORK % 1))["after_big"] == "branch_not_taken"


def test_a_decision_tells_what_it_chose_without_touching_the_state(tmp_path: Path) -> None:
    detail = run_once(tmp_path, FORK % 7)

    assert step_of(detail, "route").result == {"choice": "2", "next": ["medium"]}
    assert step_of(detail, "route").attempts == ()
    assert detail.state == {"n": 7}


def test_no_choice_and_no_default_fails_with_no_choice_matched(tmp_path: Path) -> None:
    detail = run_once(tmp_path, (FORK % 1).replace("      default: small\n", ""))

    route = step_of(detail, "route")
    assert (route.status, route.reason) == ("failed", "no_choice_matched")
    assert "1, 2" in (route.error or "")
    assert (detail.run.status, detail.run.reason) == ("failed", "no_choice_matched")


def test_a_decision_about_a_missing_path_is_false_not_an_error(tmp_path: Path) -> None:
    assert ends(run_once(tmp_path, (FORK % 1).replace("{n:", "{m:")))["small"] == "completed"


def test_an_input_path_that_finds_nothing_is_an_input_error(tmp_path: Path) -> None:
    document = (FORK % 1).replace("decision_node:", "decision_node:\n      input_path: $.order.total")
    route = step_of(run_once(tmp_path, document), "route")

    assert (route.status, route.reason) == ("failed", "input_error")
    assert "order" in (route.error or "")


@pytest.mark.parametrize(("order", "way"), [("{n: 20}", "big"), ("{}", "medium")])
def test_conditions_look_at_the_input_path_first_then_at_the_state(
    tmp_path: Path, order: str, way: str
) -> None:
    document = (FORK % f"7, order: {order}").replace(
        "decision_node:", "decision_node:\n      input_path: $.order"
    )
    assert ends(run_once(tmp_path, document))[way] == "completed"


def test_branches_of_the_code_dialect_are_judged_by_priority(tmp_path: Path) -> None:
    detail = run_once(
        tmp_path,
        """
name: code
state: {n: 50}
steps:
  - id: route
    type: decision
    config:
      decision_node:
        branches:
          - {id: low, condition: {field: n, operator: ">", value: 1}, next_steps: [a], priority: 1}
          - {id: high, condition: {field: n, operator: ">", value: 10}, next_steps: [b, c], priority: 5}
          - {id: other, next_steps: [a]}
        default: other
  - {id: a, command: [x]}
  - {id: b, command: [x]}
  - {id: c, command: [x]}
  - {id: last, command: [x]}
""",
    )
    assert step_of(detail, "route").result == {"choice": "high", "next": ["b", "c"]}
    assert ends(detail) == {
        "route": "completed",
        "a": "branch_not_taken",
        "b": "completed",
        "c": "completed",
        "last": "completed",
    }


@pytest.mark.parametrize(("n", "taken", "other"), [(1, "yes", "no"), (0, "no", "yes")])
def test_a_branch_has_two_ways(tmp_path: Path, n: int, taken: str, other: str) -> None:
    detail = run_once(
        tmp_path,
        f"""
name: branch
state: {{n: {n}}}
steps:
  - id: fork
    type: branch
    branch_config:
      condition: {{field: $.n, operator: eq, value: 1}}
      true_steps: ["yes"]
      false_steps: ["no"]
  - {{id: "yes", command: [x]}}
  - {{id: "no", command: [x]}}
  - {{id: join, command: [x]}}
""",
    )
    assert ends(detail) == {
        "fork": "completed",
        taken: "completed",
        other: "branch_not_taken",
        "join": "completed",
    }


def test_document_order_behind_an_untaken_way_skips_nothing(tmp_path: Path) -> None:
    document = "\n".join(
        line.split(", depends_on")[0] + "}" if ", depends_on" in line else line
        for line in (FORK % 1).splitlines()
    )
    document = document.replace("    depends_on: []\n", "")

    assert ends(run_once(tmp_path, document)) == {
        "route": "completed",
        "big": "branch_not_taken",
        "after_big": "completed",
        "medium": "branch_not_taken",
        "small": "completed",
        "join": "completed",
    }


def test_a_step_that_several_decisions_choose_runs_once_one_of_them_has_chosen_it(tmp_path: Path) -> None:
    detail = run_once(
        tmp_path,
        """
name: two
state: {n: 1}
steps:
  - id: first
    type: decision
    depends_on: []
    decision_node: {choices: [{condition: {field: $.n, operator: eq, value: 1}, next: shared}], default: own}
  - id: second
    type: decision
    depends_on: [own]
    decision_node: {choices: [{condition: {field: $.n, operator: eq, value: 1}, next: shared}], default: own2}
  - {id: own, command: [x], depends_on: [first]}
  - {id: own2, command: [x], depends_on: [second]}
  - {id: shared, command: [x], depends_on: [first]}
""",
    )
    assert ends(detail) == {
        "first": "completed",
        "own": "branch_not_taken",
        "second": "branch_not_taken",
        "own2": "branch_not_taken",
        "shared": "completed",
    }


def test_the_targets_of_a_decision_that_failed_are_skipped_for_that(tmp_path: Path) -> None:
    document = (
        (FORK % 1)
        .replace("      default: small\n", "")
        .replace("name: fork", "name: fork\nconfig: {failure_strategy: continue}")
    )
    detail = run_once(tmp_path, document)

    assert ends(detail)["big"] == ends(detail)["medium"] == "upstream_failed"


def test_the_targets_of_a_decision_whose_own_condition_is_false_are_not_taken(tmp_path: Path) -> None:
    document = (FORK % 1).replace(
        "    type: decision\n", "    type: decision\n    when: {field: $.n, operator: gt, value: 100}\n"
    )
    found = ends(run_once(tmp_path, document))

    assert found["route"] == "condition_false"
    assert found["big"] == found["small"] == found["join"] == "branch_not_taken"


def test_a_decision_sees_what_the_step_before_it_left(tmp_path: Path) -> None:
    document = (FORK % 0).replace("    depends_on: []\n", "    depends_on: [count]\n") + (
        "  - {id: count, command: [x], depends_on: []}\n"
    )
    assert ends(run_once(tmp_path, document, {"count": prints({"n": 99})}))["big"] == "completed"


def test_a_decision_that_was_made_is_not_made_again_after_a_crash(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(FORK % 50)
        await asyncio.sleep(1)
        detail = await world.crash(run_id)
        assert statuses(detail)["route"] == "completed"
        detail = await world.recover(detail, FORK % 50)
        events = await world.events(run_id)
        made = [e for e in events if e.step_id == "route" and e.type is EventType.STEP_FINISHED]
        assert len(made) == 1
        assert ends(detail)["big"] == "completed"
        assert ends(detail)["small"] == "branch_not_taken"

    in_world(tmp_path, story, lambda spec: Script(delay=5))


def test_a_retry_from_a_decision_runs_the_other_way_if_it_chooses_so(tmp_path: Path) -> None:
    fail_once: dict[str, Any] = {"n": 50}

    async def story(world: World) -> None:
        document = (FORK % 0).replace("    depends_on: []\n", "    depends_on: [count]\n") + (
            "  - {id: count, command: [x], depends_on: []}\n"
        )
        first = await world.run(document)
        assert ends(first)["big"] == "completed"
        fail_once["n"] = 1
        run_id = await world.orchestrator.retry(
            plan_of(document), first, RetryScope(from_step="count"), source="test"
        )
        second = await world.finish(run_id)
        assert ends(second)["big"] == "branch_not_taken"
        assert ends(second)["small"] == "completed"

    def behaviour(spec: Any) -> Script:
        return prints(fail_once) if spec.identity.step_id == "count" else Script()

    in_world(tmp_path, story, behaviour)


def test_a_decision_that_stands_keeps_its_choice_in_a_retry(tmp_path: Path) -> None:
    broken = {"after_big": True}

    async def story(world: World) -> None:
        first = await world.run(FORK % 50)
        assert ends(first)["after_big"] == "failed"
        broken["after_big"] = False
        run_id = await world.orchestrator.retry(
            plan_of(FORK % 50), first, RetryScope(failed=True), source="test"
        )
        second = await world.finish(run_id)
        reused = {step.id for step in second.steps if step.reused}
        assert reused == {"route", "big", "medium", "small"}
        assert statuses(second)["join"] == "completed"
        assert ends(second)["small"] == "branch_not_taken"

    def behaviour(spec: Any) -> Script:
        return Script(exit_code=int(broken.get(spec.identity.step_id, False)))

    in_world(tmp_path, story, behaviour)


@pytest.mark.parametrize("step", ["big", "after_big"])
@pytest.mark.parametrize("how", ["from_step", "only_step"])
def test_a_step_that_was_not_chosen_cannot_be_retried_by_itself(tmp_path: Path, how: str, step: str) -> None:
    async def story(world: World) -> None:
        detail = await world.run(FORK % 1)
        with pytest.raises(UsageError, match="as long as its decisions stand") as caught:
            scope = RetryScope(**{how: step})  # type: ignore[arg-type]
            await world.orchestrator.retry(plan_of(FORK % 1), detail, scope, source="test")
        assert caught.value.hint == "use --from route"

    in_world(tmp_path, story)


def test_a_target_that_was_chosen_is_retried_alone_and_the_decision_stands(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        first = await world.run(FORK % 1)
        run_id = await world.orchestrator.retry(
            plan_of(FORK % 1), first, RetryScope(only_step="small"), source="test"
        )
        second = await world.finish(run_id)
        assert [step.id for step in second.steps if not step.reused] == ["small"]
        assert ends(second) == ends(first)

    in_world(tmp_path, story)


def test_a_decision_cannot_be_retried_alone(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(FORK % 1)
        with pytest.raises(UsageError, match="decides what runs behind it"):
            await world.orchestrator.retry(
                plan_of(FORK % 1), detail, RetryScope(only_step="route"), source="test"
            )

    in_world(tmp_path, story)


def test_a_retry_of_a_decision_that_failed_runs_all_that_it_leads_to(tmp_path: Path) -> None:
    document = FORK % 1
    n = {"n": "text"}

    async def story(world: World) -> None:
        text = document.replace("      default: small\n", "").replace("depends_on: []", "depends_on: [count]")
        text += "  - {id: count, command: [x], depends_on: []}\n"
        first = await world.run(text)
        assert ends(first)["route"] == "failed"
        assert {ends(first)[name] for name in ("big", "after_big", "medium")} == {"upstream_failed"}
        n["n"] = 50  # type: ignore[assignment]
        run_id = await world.orchestrator.retry(
            plan_of(text), first, RetryScope(from_step="count"), source="test"
        )
        second = await world.finish(run_id)
        assert ends(second)["after_big"] == "completed"
        assert ends(second)["medium"] == "branch_not_taken"

    in_world(tmp_path, story, lambda spec: prints(n) if spec.identity.step_id == "count" else Script())


def test_the_message_of_a_decision_without_a_match_says_what_was_found(tmp_path: Path) -> None:
    document = (
        (FORK % 3)
        .replace("      default: small\n", "")
        .replace(
            "condition: {field: $.n, operator: gt, value: 5}",
            "condition: {and: [{field: $.n, operator: eq, value: 3}, {field: $.m, operator: eq, value: 1}]}",
        )
    )
    error = step_of(run_once(tmp_path, document), "route").error or ""
    assert "(1, 2)" in error
    assert "$.n is the number 3, $.m is missing" in error
