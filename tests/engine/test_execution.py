"""Order, parallelism, conditions, state and templates of runs, on scripted agents under virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.events import EventType
from tests.engine.world import World, by_step, in_world, prints, statuses, step_of


def test_without_depends_on_steps_run_in_document_order(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: chain\nsteps:\n"
            "  - {id: c, command: ['true']}\n  - {id: a, command: ['true']}\n  - {id: b, command: ['true']}\n"
        )
        assert detail.run.status == "completed"
        order = [world.backend.started.index(step.attempts[0].agent) for step in detail.steps]
        assert order == [0, 1, 2]
        assert world.backend.most_running == 1

    in_world(tmp_path, story, lambda spec: Script(delay=1))


def test_with_depends_on_independent_steps_run_together(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: diamond\nsteps:\n"
            "  - {id: top, command: ['true']}\n"
            "  - {id: left, command: ['true'], depends_on: [top]}\n"
            "  - {id: right, command: ['true'], depends_on: [top]}\n"
            "  - {id: bottom, command: ['true'], depends_on: [left, right]}\n"
        )
        assert detail.run.status == "completed"
        assert world.loop.time() == pytest.approx(3.0)
        assert world.backend.most_running == 2

    in_world(tmp_path, story, lambda spec: Script(delay=1))


def test_neighbouring_parallel_steps_form_one_group(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.run(
            "name: group\nsteps:\n"
            "  - {id: a, command: ['true']}\n"
            "  - {id: p, type: parallel, command: ['true']}\n"
            "  - {id: q, type: parallel, command: ['true']}\n"
            "  - {id: z, command: ['true']}\n"
        )
        assert world.loop.time() == pytest.approx(3.0)

    in_world(tmp_path, story, lambda spec: Script(delay=1))


def test_nested_steps_run_together_and_each_is_a_step(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: nested\nsteps:\n"
            "  - id: both\n    type: parallel\n    steps:\n"
            "      - {id: x, command: ['true']}\n      - {id: y, command: ['true']}\n"
            "  - {id: after, command: ['true']}\n"
        )
        assert statuses(detail) == dict.fromkeys(("both", "x", "y", "after"), "completed")
        assert step_of(detail, "x").parent == "both"
        assert world.loop.time() == pytest.approx(2.0)

    in_world(tmp_path, story, lambda spec: Script(delay=1))


def test_max_workers_runs_that_many_agents_of_one_step(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: workers\nsteps:\n  - {id: w, type: parallel, max_workers: 3, command: ['true']}\n"
        )
        step = step_of(detail, "w")
        assert [item.result for item in step.items] == ["0", "1", "2"] or step.result == [0, 1, 2]
        assert detail.state["w_results"] == [0, 1, 2]
        assert world.backend.most_running == 3

    in_world(tmp_path, story, lambda spec: Script(delay=1, stdout=spec.env["WORKER_ID"]))


def test_max_parallel_bounds_the_tasks_of_a_run(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        steps = "".join(f"  - {{id: p{n}, type: parallel, command: ['true']}}\n" for n in range(7))
        await world.run(f"name: bound\nconfig: {{max_parallel: 2}}\nsteps:\n{steps}")
        assert world.backend.most_running == 2
        assert world.loop.time() == pytest.approx(4.0)

    in_world(tmp_path, story, lambda spec: Script(delay=1))


def test_an_object_result_is_merged_into_the_state_and_templates_see_it(tmp_path: Path) -> None:
    seen: dict[str, AgentSpec] = {}

    def behaviour(spec: AgentSpec) -> Script:
        seen[spec.identity.step_id] = spec
        return prints({"user": {"name": "Ada"}}) if spec.identity.step_id == "make" else Script()

    async def story(world: World) -> None:
        detail = await world.run(
            "name: flow\nparams:\n  greeting: hello\nsteps:\n"
            "  - {id: make, command: ['true']}\n"
            "  - id: use\n"
            "    command: ['echo', '{{ $.params.greeting }} {{ $.user.name }}']\n"
            "    env_vars: {ALL: '{{ $.user }}', FROM: '{{ $.steps.make.result.user.name }}'}\n"
        )
        assert detail.state["user"] == {"name": "Ada"}
        assert seen["use"].command == ("echo", "hello Ada")
        assert seen["use"].env["ALL"] == '{"name":"Ada"}'
        assert seen["use"].env["FROM"] == "Ada"

    in_world(tmp_path, story, behaviour)


def test_values_a_task_sets_itself_are_seen_by_conditions(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async def set_flag(spec: AgentSpec) -> None:
            await world.store.hset(spec.identity.run_id, "flag", '"go"')

        world.backend._behaviour = by_step({"first": Script(action=set_flag)})
        detail = await world.run(
            "name: own\nsteps:\n"
            "  - {id: first, command: ['true']}\n"
            "  - {id: same, command: ['true'], condition: {field: $.flag, operator: eq, value: go}}\n"
            "  - {id: other, command: ['true'], condition: {field: $.flag, operator: eq, value: stop}}\n"
            "  - {id: last, command: ['true']}\n"
        )
        assert statuses(detail) == {
            "first": "completed",
            "same": "completed",
            "other": "skipped",
            "last": "completed",
        }
        assert step_of(detail, "other").reason == "condition_false"
        assert detail.run.status == "completed"
        assert detail.state["flag"] == "go"

    in_world(tmp_path, story)


def test_a_template_that_finds_nothing_fails_the_step_with_its_path(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(
            "name: missing\nsteps:\n  - {id: a, command: ['echo', '{{ $.nowhere.to.be }}']}\n"
        )
        step = step_of(detail, "a")
        assert (step.status, step.reason) == ("failed", "input_error")
        assert "$.nowhere.to.be" in (step.error or "")
        assert step.attempts == ()
        assert detail.run.status == "failed"

    in_world(tmp_path, story)


def test_a_task_gets_the_environment_of_the_contract(tmp_path: Path) -> None:
    seen: list[AgentSpec] = []

    def behaviour(spec: AgentSpec) -> Script:
        seen.append(spec)
        return Script()

    async def story(world: World) -> None:
        detail = await world.run(
            "name: env\nmetadata: {team: blue}\nstate: {a: 1}\nsteps:\n"
            "  - {id: s, command: ['true'], env_vars: {STEP_ID: mine, REDIS_HOST: elsewhere, X: y}}\n"
        )
        env = seen[0].env
        assert env["WORKFLOW_ID"] == detail.run.id
        assert env["STEP_ID"] == "s"
        assert env["TASK_ID"].startswith(f"task-{detail.run.id}-")
        assert env["AGENT_ID"] == seen[0].name
        assert env["WORKFLOW_TEAM"] == "blue"
        assert env["TASK_INPUT"] == '{"a": 1}'
        assert env["REDIS_HOST"] == "elsewhere"
        assert env["X"] == "y"

    in_world(tmp_path, story, behaviour)


def test_every_step_is_in_the_journal_before_anything_starts(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run("name: plan\nsteps:\n  - {id: a, command: ['true']}\n")
        events = await world.events(detail.run.id)
        assert events[0].type is EventType.RUN_CREATED
        assert [step["id"] for step in events[0].data["plan"]] == ["a"]
        kinds = [event.type for event in events]
        assert kinds.index(EventType.ATTEMPT_CREATED) < kinds.index(EventType.ATTEMPT_STARTED)

    in_world(tmp_path, story)
