"""Branches that run a workflow before the steps that they lead to."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.orchestrator.naming import child_run_id
from tests.engine.world import World, by_step, ends, in_world, prints, step_of

BRANCH = """
name: with workflow
state: {n: 1}
steps:
  - {id: change, command: [x], depends_on: []}
  - id: fork
    type: branch
    depends_on: []
    branch_config:
      condition: {field: $.n, operator: eq, value: 1}
      true_workflow: child
      true_steps: ["yes"]
      false_workflow: other
      false_steps: ["no"]
  - {id: "yes", command: [x]}
  - {id: "no", command: [x]}
  - {id: join, command: [x], depends_on: [fork, "yes", "no", change]}
"""
CHILD = "name: %s\nsteps: [{id: inner, command: [x]}]\n"


def test_a_branch_runs_its_workflow_before_its_targets(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library = {"child": CHILD % "child", "other": CHILD % "other"}
        detail = await world.run(BRANCH)
        assert step_of(detail, "fork").result == {"choice": "true", "next": ["yes"]}
        assert ends(detail)["no"] == "branch_not_taken"
        assert detail.state["said"] == "by the child"
        child = await world.detail(child_run_id(detail.run.id, "fork", None, 1))
        assert (child.run.workflow, child.run.status) == ("child", "completed")
        began = step_of(detail, "yes").started_at or ""
        assert (child.run.finished_at or "~") <= began

    in_world(tmp_path, story, by_step({"inner": prints({"said": "by the child"}, delay=3)}))


def test_a_branch_whose_workflow_fails_chooses_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library = {"child": CHILD % "child", "other": CHILD % "other"}
        detail = await world.run(BRANCH)
        assert (step_of(detail, "fork").status, step_of(detail, "fork").reason) == (
            "failed",
            "sub_workflow_failed",
        )
        assert ends(detail)["yes"] == ends(detail)["no"] == "upstream_failed"

    in_world(tmp_path, story, by_step({"inner": Script(exit_code=1)}))


def test_a_branch_goes_on_with_the_workflow_that_it_had_begun_before_a_crash(tmp_path: Path) -> None:
    """Though the state has changed since, and it would choose otherwise now."""

    async def story(world: World) -> None:
        world.library = {"child": CHILD % "child", "other": CHILD % "other"}
        run_id = await world.start(BRANCH)
        await asyncio.sleep(5)
        detail = await world.crash(run_id)
        assert (detail.state["n"], step_of(detail, "fork").status) == (2, "running")
        detail = await world.recover(detail, BRANCH)
        assert step_of(detail, "fork").result == {"choice": "true", "next": ["yes"]}
        assert len(step_of(detail, "fork").attempts) == 1
        assert ends(detail)["yes"] == "completed"

    in_world(tmp_path, story, by_step({"change": prints({"n": 2}, delay=1), "inner": Script(delay=30)}))


def test_a_crash_between_a_failure_and_its_retry_does_not_change_a_branchs_way(tmp_path: Path) -> None:
    document = BRANCH.replace(
        "    type: branch\n", "    type: branch\n    retry_policy: {max_attempts: 2, delay: 20s}\n"
    )

    async def story(world: World) -> None:
        world.library = {"child": CHILD % "child", "other": CHILD % "other"}
        run_id = await world.start(document)
        await asyncio.sleep(10)
        detail = await world.crash(run_id)
        assert (detail.state["n"], step_of(detail, "fork").status) == (2, "retrying")
        inner["ok"] = True
        detail = await world.recover(detail, document)
        assert step_of(detail, "fork").result == {"choice": "true", "next": ["yes"]}
        second = await world.detail(child_run_id(run_id, "fork", None, 2))
        assert second.run.workflow == "child"

    inner = {"ok": False}

    def behaviour(spec: AgentSpec) -> Script:
        if spec.identity.step_id == "inner":
            return Script(exit_code=0 if inner["ok"] else 1, delay=2)
        return prints({"n": 2}, delay=1) if spec.identity.step_id == "change" else Script()

    in_world(tmp_path, story, behaviour)
