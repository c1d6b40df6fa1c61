"""`on_failure` and `finally` steps whose engine ends in between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.events import Event, RunStatus
from tests.engine.test_handlers import BAD, ENDLESS, FAST, settled, started
from tests.engine.world import World, by_step, ends, in_world, plan_of, step_of, until


@pytest.mark.parametrize("victim", ["first", "main", "alarm", "tidy", "tell"])
def test_a_crash_at_any_of_them_changes_nothing(tmp_path: Path, victim: str) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        return Script(delay=5, exit_code=7 if spec.identity.step_id == "main" else 0)

    async def story(world: World) -> None:
        run_id = await world.start(FAST)
        await started(world, victim)
        detail = await world.recover(await world.crash(run_id), FAST)
        assert (detail.run.status, detail.run.reason) == ("failed", "task_failed")
        assert ends(detail) == {
            "first": "completed",
            "main": "failed",
            "alarm": "completed",
            "tidy": "completed",
            "tell": "completed",
        }
        assert len(world.backend.started) == 5, "nothing ran twice"
        (verdict,) = await settled(world, run_id)
        assert (verdict["status"], verdict["failed_step"]) == ("failed", "main")

    in_world(tmp_path, story, behaviour)


@pytest.mark.parametrize("main", [0, 7])
@pytest.mark.parametrize("write", range(2, 24))
def test_a_crash_after_any_write_of_a_run_changes_nothing(tmp_path: Path, write: int, main: int) -> None:
    async def story(world: World) -> None:
        die_after(world, write)
        run_id = await world.start(FAST)
        await until(lambda: world.life.over or not world.orchestrator.is_live(run_id))
        detail = await world.crash(run_id)
        if not RunStatus(detail.run.status).is_terminal:
            detail = await world.recover(detail, FAST)
        assert detail.run.status == ("failed" if main else "completed")
        assert ends(detail)["alarm"] == ("completed" if main else "condition_false")
        assert ends(detail)["tidy"] == ends(detail)["tell"] == "completed"
        assert len(await settled(world, run_id)) == 1

    in_world(tmp_path, story, by_step({"main": Script(exit_code=main)}))


def die_after(world: World, writes: int) -> None:
    """End the present engine as soon as the journal has been given so many writes."""
    life, record, left = world.life, world.journal.record, writes

    def counted(*events: Event, **how: Any) -> Any:
        nonlocal left
        left -= 1
        life.over = life.over or left == 0
        return record(*events, **how)

    setattr(world.journal, "record", counted)  # noqa: B010 (mypy minds an assignment)


def test_after_a_crash_they_have_the_rest_of_their_time(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(FAST)
        await started(world, "tidy")
        await asyncio.sleep(40)
        detail = await world.recover(await world.crash(run_id), FAST)
        assert step_of(detail, "tidy").reason == "timed_out"
        assert world.loop.time() == pytest.approx(60, abs=3)

    in_world(tmp_path, story, by_step({"tidy": ENDLESS}))


def test_a_run_that_was_cancelled_before_a_crash_still_has_its_finally_steps(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(FAST)
        await started(world, "main")
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.recover(await world.crash(run_id), FAST)
        assert detail.run.status == "cancelled"
        assert ends(detail)["tidy"] == ends(detail)["tell"] == "completed"

    in_world(tmp_path, story, by_step({"main": Script(delay=None, ignores_term=True)}))


@pytest.mark.parametrize("cancelled_before", [False, True])
def test_a_run_that_a_crash_left_is_cancelled_in_a_hurry_without_them(
    tmp_path: Path, cancelled_before: bool
) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(FAST)
        await started(world, "main")
        if cancelled_before:
            await world.orchestrator.cancel(run_id, by="test")
        detail = await world.crash(run_id)
        await world.orchestrator.resume(plan_of(FAST), detail, cancel_by="test", hurry=True)
        detail = await world.finish(run_id)
        assert detail.run.status == "cancelled"
        assert ends(detail)["tidy"] == ends(detail)["tell"] == "cancelled"

    in_world(tmp_path, story, by_step({"main": Script(delay=None, ignores_term=True)}))


@pytest.mark.parametrize("bound", ["run", "machine"])
def test_they_have_the_place_of_a_task_that_was_ended_after_a_crash(tmp_path: Path, bound: str) -> None:
    document = FAST.replace("timeout: 100s", f"max_parallel: {1 if bound == 'run' else 0}, timeout: 100s")

    async def story(world: World) -> None:
        run_id = await world.start(document)
        await started(world, "main")
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.crash(run_id)
        begun = world.loop.time()
        detail = await world.recover(detail, document)
        assert ends(detail)["tidy"] == ends(detail)["tell"] == "completed"
        assert world.loop.time() - begun < 30

    limit = 1 if bound == "machine" else 0
    main = Script(delay=None, ignores_term=True)
    in_world(tmp_path, story, by_step({"main": main}), max_tasks=limit or 8)


def test_finally_steps_of_a_cancelled_run_go_on_after_a_crash(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(FAST)
        await started(world, "main")
        await world.orchestrator.cancel(run_id, by="test")
        await started(world, "tidy")
        detail = await world.recover(await world.crash(run_id), FAST)
        assert detail.run.status == "cancelled"
        assert ends(detail)["tidy"] == ends(detail)["tell"] == "completed"

    in_world(tmp_path, story, by_step({"main": ENDLESS, "tidy": Script(delay=10)}))


def test_a_cancel_of_finally_steps_that_a_crash_interrupted_is_carried_out(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(FAST)
        await started(world, "tidy")
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.recover(await world.crash(run_id), FAST)
        assert ends(detail)["tidy"] == ends(detail)["tell"] == "cancelled"
        assert detail.run.status == "failed"
        assert world.backend.agents == {}

    in_world(tmp_path, story, by_step({"main": BAD, "tidy": Script(delay=None, ignores_term=True)}))


def test_a_run_that_is_parked_among_them_ends_them_properly(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(FAST)
        for _ in range(2):
            await started(world, "tidy")
            detail = await world.crash(run_id)
            await world.resume(detail, FAST)
        detail = await world.finish(run_id)
        assert (detail.run.status, detail.run.reason) == ("failed", "infra_error")
        assert "parked" in (detail.run.error or "")
        assert ends(detail)["tidy"] == ends(detail)["tell"] == "cancelled"
        assert world.backend.agents == {}

    in_world(tmp_path, story, by_step({"tidy": ENDLESS}), max_recoveries=1)
