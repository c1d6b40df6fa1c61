"""Steps that wait: for an answer, or for time to pass."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.clock import isoformat
from engine.events import EventType
from tests.engine.world import World, in_world, step_of, until

GATE = """
name: gate
state: {{version: "1.2"}}
steps:
  - {{id: build, command: ["x"]}}
  - id: go
    type: approval
    approval: {{message: "Ship {{{{ $.version }}}}?"{default}}}
    {timeout}
  - {{id: ship, command: ["x"]}}
"""


def gate(default: str = "", timeout: str = "") -> str:
    return GATE.format(
        default=f", default: {default}" if default else "", timeout=f"timeout: {timeout}" if timeout else ""
    )


async def asked(world: World, run_id: str) -> None:
    await until(lambda: bool(world.orchestrator.gates(run_id)))


def test_an_approved_gate_completes_and_says_who_approved(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(gate())
        await asked(world, run_id)
        (waiting,) = world.orchestrator.gates(run_id)
        assert (waiting.step_id, waiting.message, waiting.due) == ("go", "Ship 1.2?", None)
        await asyncio.sleep(10)
        at = isoformat(world.clock.now())
        assert world.orchestrator.answer(run_id, "go", approved=True, by="ada", comment="looks good")
        end = await world.finish(run_id)
        assert end.run.status == "completed"
        step = step_of(end, "go")
        assert step.result == {"approved": True, "by": "ada", "comment": "looks good", "at": at}
        assert step.attempts == ()
        assert end.state == {"version": "1.2"}

    in_world(tmp_path, story)


def test_a_gate_is_announced_with_its_message_and_its_end(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(gate("approve", "30s"))
        events = [
            event for event in await world.events(detail.run.id) if event.type is EventType.STEP_WAITING
        ]
        due = isoformat(world.clock.now())
        assert [(event.step_id, event.data) for event in events] == [
            ("go", {"why": "approval", "message": "Ship 1.2?", "due": due, "default": True})
        ]

    in_world(tmp_path, story)


def test_a_rejected_gate_fails_and_says_who_rejected_and_why(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(gate())
        await asked(world, run_id)
        assert world.orchestrator.answer(run_id, "go", approved=False, by="ada", comment="on a Friday?")
        end = await world.finish(run_id)
        step = step_of(end, "go")
        assert (step.status, step.reason, step.error) == (
            "failed",
            "rejected",
            "rejected by ada: on a Friday?",
        )
        assert step_of(end, "ship").reason == "upstream_failed"
        assert (end.run.status, end.run.reason) == ("failed", "rejected")

    in_world(tmp_path, story)


def test_only_the_first_answer_counts_and_only_while_the_gate_waits(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(gate())
        assert not world.orchestrator.answer(run_id, "go", approved=True, by="early")
        await asked(world, run_id)
        assert not world.orchestrator.answer(run_id, "build", approved=True, by="lost")
        assert world.orchestrator.answer(run_id, "go", approved=True, by="first")
        assert not world.orchestrator.answer(run_id, "go", approved=False, by="second")
        assert world.orchestrator.gates(run_id) == []
        end = await world.finish(run_id)
        assert step_of(end, "go").result["by"] == "first"
        assert not world.orchestrator.answer(run_id, "go", approved=False, by="late")

    in_world(tmp_path, story)


@pytest.mark.parametrize(
    ("default", "status", "reason"),
    [("approve", "completed", None), ("reject", "failed", "rejected"), ("", "failed", "timed_out")],
)
def test_a_gate_that_nobody_answers(tmp_path: Path, default: str, status: str, reason: str | None) -> None:
    async def story(world: World) -> None:
        end = await world.run(gate(default, "1h"))
        step = step_of(end, "go")
        assert (step.status, step.reason) == (status, reason)
        assert world.loop.time() == pytest.approx(3600)
        said: Any = step.result or step.error
        assert "timeout" in str(said)

    in_world(tmp_path, story)


@pytest.mark.parametrize("crashed_for", [0.0, 500.0])
def test_a_gate_goes_on_waiting_after_a_crash_until_the_same_moment(
    tmp_path: Path, crashed_for: float
) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(gate("approve", "1000s"))
        await asked(world, run_id)
        await asyncio.sleep(300)
        detail = await world.crash(run_id)
        assert step_of(detail, "go").status == "running"
        await asyncio.sleep(crashed_for)
        end = await world.recover(detail, gate("approve", "1000s"))
        assert end.run.status == "completed"
        assert world.loop.time() == pytest.approx(1000, abs=1)

    in_world(tmp_path, story)


def test_a_gate_whose_time_ran_out_during_a_crash_is_answered_at_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(gate("reject", "100s"))
        await asked(world, run_id)
        detail = await world.crash(run_id)
        await asyncio.sleep(5000)
        end = await world.recover(detail, gate("reject", "100s"))
        assert step_of(end, "go").error == "rejected by timeout"

    in_world(tmp_path, story)


def test_a_recovered_gate_can_be_answered(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(gate())
        await asked(world, run_id)
        detail = await world.crash(run_id)
        await world.resume(detail, gate())
        await asked(world, run_id)
        assert world.orchestrator.answer(run_id, "go", approved=True, by="ada")
        assert (await world.finish(run_id)).run.status == "completed"

    in_world(tmp_path, story)


@pytest.mark.parametrize("waiting", ["approval: {message: Go on?}", "delay: 1h"])
def test_a_step_that_waits_is_cancelled_at_once(tmp_path: Path, waiting: str) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(f"name: w\nsteps:\n  - {{id: wait, {waiting}}}\n")
        await asyncio.sleep(5)
        await world.orchestrator.cancel(run_id, by="test")
        end = await world.finish(run_id)
        assert end.run.status == "cancelled"
        assert step_of(end, "wait").status == "cancelled"
        assert world.loop.time() == pytest.approx(5, abs=1)

    in_world(tmp_path, story)


def test_a_message_that_finds_nothing_is_an_input_error(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        end = await world.run(gate().replace("$.version", "$.no.such"))
        step = step_of(end, "go")
        assert (step.status, step.reason) == ("failed", "input_error")
        assert "$.no.such" in (step.error or "")

    in_world(tmp_path, story)


def test_steps_that_wait_hold_no_slot(tmp_path: Path) -> None:
    document = """
name: slots
config: {max_parallel: 1}
steps:
  - {id: wait, delay: 100s, depends_on: []}
  - {id: gate, approval: {default: approve}, timeout: 100s, depends_on: []}
  - {id: work, command: ["x"], depends_on: []}
"""

    async def story(world: World) -> None:
        run_id = await world.start(document)
        await until(lambda: world.backend.running == 0 and len(world.backend.started) == 1, seconds=50)
        assert (await world.finish(run_id)).run.status == "completed"

    in_world(tmp_path, story)


def test_a_delay_waits_and_after_a_crash_only_the_rest(tmp_path: Path) -> None:
    document = "name: d\nsteps:\n  - {id: wait, delay: 100s}\n  - {id: work, command: ['x']}\n"

    async def story(world: World) -> None:
        run_id = await world.start(document)
        await asyncio.sleep(60)
        detail = await world.crash(run_id)
        end = await world.recover(detail, document)
        assert end.run.status == "completed"
        assert world.loop.time() == pytest.approx(100, abs=1)
        waits = [event for event in await world.events(run_id) if event.type is EventType.STEP_WAITING]
        assert len(waits) == 1
        assert waits[0].data["why"] == "delay"

    in_world(tmp_path, story)
