"""What the next engine makes of runs that an interrupted one left: adopted, finalised or tried again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.errors import UnavailableError
from engine.orchestrator.context import Services
from engine.orchestrator.recovery import Recovery
from tests.engine.world import World, in_world, step_of, until

TWO = """
name: two
steps:
  - {id: a, command: ["x"]}
  - {id: b, command: ["x"], retry_policy: {max_attempts: 2, delay: 100s}}
"""


def test_a_running_agent_is_adopted_and_not_started_twice(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(TWO)
        await until(lambda: world.backend.running == 1)
        detail = await world.crash(run_id)
        assert step_of(detail, "a").status == "running"
        end = await world.recover(detail, TWO)
        assert end.run.status == "completed"
        assert end.run.recoveries == 1
        assert len(step_of(end, "a").attempts) == 1
        assert len(world.backend.started) == 2

    in_world(tmp_path, story, lambda spec: Script(delay=10))


def test_an_agent_that_has_exited_meanwhile_is_finalised(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(TWO)
        await until(lambda: world.backend.running == 1)
        detail = await world.crash(run_id)
        await asyncio.sleep(60)
        assert world.backend.running == 0
        end = await world.recover(detail, TWO)
        assert step_of(end, "a").result == "out"
        assert len(step_of(end, "a").attempts) == 1

    in_world(tmp_path, story, lambda spec: Script(delay=10, stdout="out"))


def test_an_intent_without_an_agent_is_tried_again_as_a_platform_failure(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(TWO)
        await until(lambda: world.backend.running == 1)
        detail = await world.crash(run_id)
        world.backend.vanish(step_of(detail, "a").attempts[0].agent)
        end = await world.recover(detail, TWO)
        first, second = step_of(end, "a").attempts
        assert (first.status, first.reason) == ("failed", "infra_error")
        assert second.status == "completed"
        assert end.run.status == "completed"

    in_world(tmp_path, story, lambda spec: Script(delay=10))


def test_an_interrupted_attempt_does_not_use_up_the_retry_policy(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        # b: attempt 1 is interrupted, attempt 2 fails by itself, attempt 3 is the one retry it has.
        if spec.identity.step_id == "b" and spec.identity.attempt == 2:
            return Script(exit_code=1)
        return Script(delay=10)

    async def story(world: World) -> None:
        run_id = await world.start(TWO)
        await until(lambda: len(world.backend.started) == 2)
        detail = await world.crash(run_id)
        world.backend.vanish(step_of(detail, "b").attempts[0].agent)
        end = await world.recover(detail, TWO)
        assert [attempt.status for attempt in step_of(end, "b").attempts] == [
            "failed",
            "failed",
            "completed",
        ]
        assert end.run.status == "completed"

    in_world(tmp_path, story, behaviour)


def test_an_interrupted_back_off_is_waited_to_its_end(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        broken = spec.identity.step_id == "b" and spec.identity.attempt == 1
        return Script(exit_code=1 if broken else 0)

    async def story(world: World) -> None:
        run_id = await world.start(TWO)
        await asyncio.sleep(30)
        detail = await world.crash(run_id)
        assert step_of(detail, "b").status == "retrying"
        end = await world.recover(detail, TWO)
        assert end.run.status == "completed"
        assert 99 < world.loop.time() < 102

    in_world(tmp_path, story, behaviour)


def test_a_map_goes_on_with_the_items_that_are_missing(tmp_path: Path) -> None:
    document = (
        "name: items\nstate: {things: [0, 1, 2, 3]}\nsteps:\n"
        "  - id: m\n    type: map\n    command: ['x']\n"
        "    map_config: {input_path: things, max_concurrency: 1}\n"
    )

    async def story(world: World) -> None:
        run_id = await world.start(document)
        await until(lambda: len(world.backend.started) == 3)
        detail = await world.crash(run_id)
        end = await world.recover(detail, document)
        assert end.run.status == "completed"
        assert len(world.backend.started) == 4
        assert end.state["m_results"] == [0, 1, 2, 3]

    in_world(tmp_path, story, lambda spec: Script(delay=10, stdout=str(spec.identity.item)))


def test_a_cancel_that_was_interrupted_is_carried_out(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(TWO)
        await until(lambda: world.backend.running == 1)
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.crash(run_id)
        assert detail.run.status == "cancelling"
        end = await world.recover(detail, TWO)
        assert end.run.status == "cancelled"
        assert world.backend.agents == {}

    in_world(tmp_path, story, lambda spec: Script(delay=None, ignores_term=True))


def test_agents_that_belong_to_nothing_are_reaped_and_kept_ones_are_not(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        kept = await world.run(
            "name: keep\nconfig: {cleanup_policy: never}\nsteps:\n  - {id: a, command: ['x']}\n"
        )
        name = step_of(kept, "a").attempts[0].agent
        agent = world.backend.agents[name]
        identity = replace(agent.spec.identity, run_id="0123456789ab")
        stray = replace(agent, spec=replace(agent.spec, name="agentainer-stray-1", identity=identity))
        world.backend.agents[stray.spec.name] = stray
        reaped = await world.reap()
        assert [info.name for info in reaped] == [stray.spec.name]

    in_world(tmp_path, story)


async def recover_all(world: World) -> None:
    """What a starting engine does."""

    async def services_for(name: str) -> Services:
        if name != world.backend.name:
            raise UnavailableError(f"there is no {name} here")
        return world.services

    recovery = Recovery(world.orchestrator, world.services, world.reader, services_for)
    with world.loop.outside():
        await recovery.recover()


def test_a_run_that_ends_the_engine_again_and_again_is_parked(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(TWO)
        for _ in range(3):
            await until(lambda: world.backend.running == 1)
            await world.crash(run_id)
            await recover_all(world)
        detail = await world.finish(run_id)
        assert (detail.run.status, detail.run.reason) == ("failed", "infra_error")
        assert "parked" in (detail.run.error or "")
        assert {step.status for step in detail.steps} == {"cancelled"}
        assert world.backend.agents == {}

    in_world(tmp_path, story, lambda spec: Script(delay=None), max_recoveries=2)


def test_a_run_whose_secret_is_gone_is_ended_and_says_so(tmp_path: Path) -> None:
    document = TWO.replace("name: two", "name: two\nsecrets: [TOKEN]")

    async def story(world: World) -> None:
        world.environ["TOKEN"] = "a long secret"
        run_id = await world.start(document)
        await until(lambda: world.backend.running == 1)
        await world.crash(run_id)
        del world.environ["TOKEN"]
        await recover_all(world)
        detail = await world.finish(run_id)
        assert (detail.run.status, detail.run.reason) == ("failed", "input_error")
        assert "TOKEN is not set" in (detail.run.error or "")
        assert world.backend.agents == {}

    in_world(tmp_path, story, lambda spec: Script(delay=None))


def test_a_run_whose_backend_is_gone_is_ended_as_a_platform_failure(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(TWO)
        await until(lambda: world.backend.running == 1)
        await world.crash(run_id)
        world.backend.name = "other"
        await recover_all(world)
        detail = await world.finish(run_id)
        assert (detail.run.status, detail.run.reason) == ("failed", "infra_error")
        assert "there is no memory here" in (detail.run.error or "")

    in_world(tmp_path, story, lambda spec: Script(delay=None))


def test_a_run_whose_document_is_lost_is_ended_with_all_that_is_open_in_it(tmp_path: Path) -> None:
    document = (
        "name: items\nstate: {things: [0, 1, 2]}\nsteps:\n"
        "  - id: m\n    type: map\n    command: ['x']\n"
        "    map_config: {input_path: things, max_concurrency: 2}\n"
        "  - {id: b, command: ['x']}\nfinally:\n  - {id: tidy, command: ['x']}\n"
    )

    async def story(world: World) -> None:
        run_id = await world.start(document)
        await until(lambda: world.backend.running == 2)
        await world.crash(run_id)
        with world.loop.outside():
            await world.journal.maintain(
                lambda connection: connection.execute("UPDATE documents SET text = '['")
            )
        await recover_all(world)
        detail = await world.finish(run_id)
        assert (detail.run.status, detail.run.reason) == ("failed", "invalid_definition")
        assert {step.status for step in detail.steps} == {"cancelled"}
        assert world.backend.agents == {}

    in_world(tmp_path, story, lambda spec: Script(delay=None))
