"""Stops that outrank each other, what may still run under them, and what a crash in between makes of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.agents.memory import Script
from tests.engine.world import World, by_step, ends, in_world, step_of, until

# `bad` fails at once; `after` was asked to run after that, and takes its time.
DOCUMENT = """
name: stops
config: {timeout: 100s}
steps:
  - {id: bad, command: [x], depends_on: []}
  - {id: beside, command: [x], depends_on: []}
  - {id: behind, command: [x], depends_on: [bad]}
  - {id: after, command: [x], depends_on: [bad, behind], trigger: all_done}
  - {id: last, command: [x], depends_on: [after], trigger: all_done}
"""
BAD, ENDLESS = Script(exit_code=1, delay=1), Script(delay=None)
SLOW = Script(delay=None, ignores_term=True)


def running(world: World, step_id: str) -> bool:
    return any(a.spec.identity.step_id == step_id and a.task for a in world.backend.agents.values())


# -- under a failure ----------------------------------------------------------------------------------


def test_under_fail_fast_what_asked_for_it_runs_after_the_failure_and_nothing_else(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(DOCUMENT)
        assert ends(detail) == {
            "bad": "failed",
            "beside": "cancelled",
            "behind": "upstream_failed",
            "after": "completed",
            "last": "completed",
        }
        assert (detail.run.status, detail.run.reason) == ("failed", "task_failed")

    in_world(tmp_path, story, by_step({"bad": BAD, "beside": ENDLESS, "after": Script(delay=20)}))


def test_a_second_failure_does_not_replace_the_first(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(DOCUMENT)
        assert ends(detail)["after"] == "failed"
        assert ends(detail)["last"] == "completed"
        assert "'bad'" in (detail.run.error or "")

    in_world(tmp_path, story, by_step({"bad": BAD, "after": Script(exit_code=2)}))


def test_a_parallel_step_that_was_asked_for_runs_with_all_its_members(tmp_path: Path) -> None:
    document = """
name: members
steps:
  - {id: bad, command: [x], depends_on: []}
  - id: both
    type: parallel
    depends_on: [bad]
    trigger: all_done
    steps:
      - {id: one, command: [x]}
      - {id: two, command: [x]}
"""

    async def story(world: World) -> None:
        assert ends(await world.run(document)) == {
            "bad": "failed",
            "both": "completed",
            "one": "completed",
            "two": "completed",
        }

    in_world(tmp_path, story, by_step({"bad": BAD}))


def test_a_map_that_was_asked_for_runs_with_all_its_items(tmp_path: Path) -> None:
    document = """
name: items
state: {things: [1, 2]}
steps:
  - {id: bad, command: [x], depends_on: []}
  - {id: each, type: map, command: [x], depends_on: [bad], trigger: all_done,
     map_config: {input_path: things}}
"""

    async def story(world: World) -> None:
        detail = await world.run(document)
        assert [item.status for item in step_of(detail, "each").items] == ["completed", "completed"]

    in_world(tmp_path, story, by_step({"bad": BAD}))


def test_a_step_whose_turn_comes_with_the_failure_still_has_its_dependents_judged(tmp_path: Path) -> None:
    # `same` and `bad` end in the same moment, so `next` has its turn just as the stop comes.
    document = """
name: moment
steps:
  - {id: bad, command: [x], depends_on: []}
  - {id: same, command: [x], depends_on: []}
  - {id: next, command: [x], depends_on: [same]}
  - {id: last, command: [x], depends_on: [bad, next], trigger: all_done}
"""

    async def story(world: World) -> None:
        assert ends(await world.run(document)) == {
            "same": "completed",
            "bad": "failed",
            "next": "cancelled",
            "last": "completed",
        }

    in_world(tmp_path, story, by_step({"same": Script(delay=1), "bad": BAD, "next": ENDLESS}))


# -- escalation ---------------------------------------------------------------------------------------


def test_the_time_limit_stops_what_the_failure_let_run(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(DOCUMENT)
        assert (step_of(detail, "after").status, step_of(detail, "after").reason) == (
            "cancelled",
            "timed_out",
        )
        assert ends(detail)["last"] == "cancelled"
        assert (detail.run.status, detail.run.reason) == ("failed", "timed_out")
        assert world.loop.time() == pytest.approx(100, abs=1)

    in_world(tmp_path, story, by_step({"bad": BAD, "after": ENDLESS}))


def test_a_cancel_stops_what_the_failure_let_run(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(DOCUMENT)
        await until(lambda: running(world, "after"))
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.finish(run_id)
        assert ends(detail)["after"] == ends(detail)["last"] == "cancelled"
        assert (detail.run.status, detail.run.reason) == ("cancelled", "cancelled")
        assert world.loop.time() < 10

    in_world(tmp_path, story, by_step({"bad": BAD, "after": ENDLESS}))


def test_a_cancel_during_the_wind_down_of_a_failed_run_cancels_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(DOCUMENT)
        await asyncio.sleep(3)  # `bad` has failed, `beside` has its grace
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.finish(run_id)
        assert ends(detail)["bad"] == "failed"
        assert detail.run.status == "cancelled"

    in_world(tmp_path, story, by_step({"bad": BAD, "beside": SLOW, "after": ENDLESS}))


def test_a_cancel_during_the_wind_down_of_a_run_whose_time_is_up_cancels_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(DOCUMENT)
        await asyncio.sleep(103)
        await world.orchestrator.cancel(run_id, by="test")
        assert (await world.finish(run_id)).run.status == "cancelled"

    in_world(tmp_path, story, by_step({"beside": SLOW}))


def test_a_failure_or_the_time_limit_does_not_weaken_a_cancel(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(DOCUMENT.replace("100s", "5s"))
        await asyncio.sleep(0.5)
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.finish(run_id)
        assert (detail.run.status, detail.run.reason) == ("cancelled", "cancelled")
        assert world.loop.time() > 5

    in_world(tmp_path, story, by_step({"bad": BAD, "beside": SLOW}))


def test_a_cancel_before_anything_began_ends_every_step(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(DOCUMENT)
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.finish(run_id)
        assert set(ends(detail).values()) == {"cancelled"}
        assert detail.run.status == "cancelled"
        assert world.backend.started == []

    in_world(tmp_path, story)


# -- crashes ------------------------------------------------------------------------------------------


def test_a_failure_that_stopped_the_run_stops_it_after_a_crash_too(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(DOCUMENT)
        await asyncio.sleep(3)
        detail = await world.crash(run_id)
        assert (step_of(detail, "bad").status, step_of(detail, "beside").status) == ("failed", "running")
        detail = await world.recover(detail, DOCUMENT)
        assert ends(detail) == {
            "bad": "failed",
            "beside": "cancelled",
            "behind": "upstream_failed",
            "after": "completed",
            "last": "completed",
        }
        assert (detail.run.status, detail.run.reason) == ("failed", "task_failed")
        assert world.backend.agents == {}

    in_world(tmp_path, story, by_step({"bad": BAD, "beside": SLOW}))


def test_what_the_failure_let_run_goes_on_after_a_crash(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(DOCUMENT)
        await until(lambda: running(world, "after"))
        detail = await world.recover(await world.crash(run_id), DOCUMENT)
        assert ends(detail)["after"] == ends(detail)["last"] == "completed"
        assert len(step_of(detail, "after").attempts) == 1, "its agent was taken over"

    in_world(tmp_path, story, by_step({"bad": BAD, "after": Script(delay=20)}))


def test_a_failed_member_fails_its_parallel_step_after_a_crash_too(tmp_path: Path) -> None:
    document = (
        "name: members\nsteps:\n  - id: both\n    type: parallel\n    steps:\n"
        "      - {id: bad, command: [x]}\n      - {id: slow, command: [x]}\n  - {id: next, command: [x]}\n"
    )

    async def story(world: World) -> None:
        run_id = await world.start(document)
        await asyncio.sleep(3)
        detail = await world.recover(await world.crash(run_id), document)
        assert ends(detail) == {
            "both": "failed",
            "bad": "failed",
            "slow": "cancelled",
            "next": "upstream_failed",
        }
        assert "bad" in (step_of(detail, "both").error or "")
        assert world.backend.agents == {}

    in_world(tmp_path, story, by_step({"bad": BAD, "slow": SLOW}))


def test_a_tolerated_failure_stops_nothing_after_a_crash(tmp_path: Path) -> None:
    document = DOCUMENT.replace("config: {", "config: {failure_strategy: continue, ")

    async def story(world: World) -> None:
        run_id = await world.start(document)
        await until(lambda: running(world, "behind"))
        detail = await world.recover(await world.crash(run_id), document)
        assert set(ends(detail).values()) == {"failed", "completed"}
        assert detail.run.status == "partially_completed"

    in_world(tmp_path, story, by_step({"bad": BAD, "behind": Script(delay=5), "beside": Script(delay=30)}))


def test_a_cancel_that_comes_with_the_recovery_leaves_no_agent(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(DOCUMENT)
        await until(lambda: world.backend.running == 2)
        detail = await world.crash(run_id)
        await world.resume(detail, DOCUMENT)
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.finish(run_id)
        assert set(ends(detail).values()) == {"cancelled"}
        assert world.backend.agents == {}

    in_world(tmp_path, story, lambda spec: ENDLESS)


# -- faults of the engine itself ----------------------------------------------------------------------


@pytest.mark.parametrize("handlers", ["", "finally:\n  - {id: tidy, command: [x]}\n"])
def test_a_fault_of_the_engine_in_one_step_ends_the_run_and_every_step(tmp_path: Path, handlers: str) -> None:
    document = DOCUMENT.replace("{id: bad, ", "{id: bad, retry_policy: {max_attempts: 3}, ") + handlers
    fault = Script(create_error=RuntimeError("a mistake of ours"))  # type: ignore[arg-type]

    async def story(world: World) -> None:
        detail = await world.run(document)
        assert (detail.run.status, detail.run.reason) == ("failed", "infra_error")
        assert "a mistake of ours" in (detail.run.error or "")
        assert (step_of(detail, "bad").status, step_of(detail, "bad").reason) == ("failed", "infra_error")
        assert ends(detail)["beside"] == ends(detail)["after"] == "cancelled"
        assert world.backend.agents == {}

    in_world(tmp_path, story, by_step({"bad": fault, "beside": ENDLESS}))
