"""Where the seconds of attempts go, measured by the engine itself on virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.errors import BackendError, Reason
from engine.events import Event, EventType
from tests.engine.world import World, by_step, in_world, run_once, step_of, until

SLOW = Script(prepare_delay=2, create_delay=0.5, start_delay=0.25, delay=4)
ONE = "name: w\nsteps:\n  - {id: only, command: [work]}\n"


def phases(home: Path, document: str, scripts: dict[str, Script], step: str = "only") -> list[object]:
    return [attempt.phases for attempt in step_of(run_once(home, document, scripts), step).attempts]


def test_an_attempt_says_where_its_seconds_went(tmp_path: Path) -> None:
    assert phases(tmp_path, ONE, {"only": SLOW}) == [{"image": 2, "create": 0.5, "start": 0.25, "run": 4}]


def test_phases_that_took_no_time_are_left_out(tmp_path: Path) -> None:
    assert phases(tmp_path, ONE, {"only": Script(delay=3)}) == [{"run": 3}]
    assert phases(tmp_path / "2", ONE, {"only": Script()}) == [None]


def test_waiting_for_a_slot_is_its_own_phase(tmp_path: Path) -> None:
    document = (
        "name: w\nconfig: {max_parallel: 1}\nsteps:\n"
        "  - {id: a, type: parallel, command: [a]}\n  - {id: b, type: parallel, command: [b]}\n"
    )
    script = Script(delay=5)
    assert phases(tmp_path, document, {"a": script, "b": script}, "b") == [{"queue": 5, "run": 5}]


def test_items_that_wait_for_slots_of_the_run_say_so(tmp_path: Path) -> None:
    document = (
        "name: w\nconfig: {max_parallel: 1}\nstate: {xs: [1, 2, 3]}\nsteps:\n"
        "  - {id: m, type: map, command: [m], map_config: {input_path: xs}}\n"
    )
    items = step_of(run_once(tmp_path, document, {"m": Script(delay=2)}), "m").items
    assert [item.attempts[0].phases for item in items] == [{"run": 2}, {"queue": 2, "run": 2},
                                                           {"queue": 4, "run": 2}]  # fmt: skip


def test_tries_of_the_platform_add_up_with_the_pauses_between(tmp_path: Path) -> None:
    gone = BackendError(Reason.INFRA_ERROR, "no answer", transient=True)
    script = Script(create_error=gone, error_times=2, prepare_delay=1, delay=3)
    # Pauses of 0.5 and 1 s; the image is looked for in each of the three tries.
    assert phases(tmp_path, ONE, {"only": script}) == [{"image": 3, "backoff": 1.5, "run": 3}]


def test_what_never_started_has_the_phases_that_it_came_to(tmp_path: Path) -> None:
    script = Script(
        prepare_delay=2, prepare_error=BackendError(Reason.IMAGE_ERROR, "no such image", transient=False)
    )
    assert phases(tmp_path, ONE, {"only": script}) == [{"image": 2}]


def test_every_try_has_phases_of_its_own(tmp_path: Path) -> None:
    document = (
        "name: w\nsteps:\n  - {id: only, command: [work], retry_policy: {max_attempts: 2, delay: 7s}}\n"
    )
    assert phases(tmp_path, document, {"only": Script(delay=2, exit_code=1)}) == [{"run": 2}, {"run": 2}]


def test_the_grace_of_a_task_that_timed_out_is_part_of_its_run(tmp_path: Path) -> None:
    document = "name: w\nsteps:\n  - {id: only, command: [work], timeout: 5s}\n"
    stubborn = Script(delay=None, ignores_term=True)
    assert phases(tmp_path, document, {"only": stubborn}) == [{"run": 15}]


def test_a_sub_workflow_runs_as_long_as_its_child(tmp_path: Path) -> None:
    document = (
        "name: w\nsteps:\n  - id: sub\n    workflow:\n      name: inner\n      steps:\n"
        "        - {id: deep, command: [work]}\n"
    )
    assert phases(tmp_path, document, {"deep": Script(delay=6)}, "sub") == [{"run": 6}]


def test_an_attempt_that_was_taken_over_has_no_run_phase(tmp_path: Path) -> None:
    """Nobody measured all of it; the wall times say how long it took."""

    async def story(world: World) -> list[object]:
        run_id = await world.start(ONE)
        await until(lambda: world.backend.running == 1)
        detail = await world.recover(await world.crash(run_id), ONE)
        return [(attempt.status, attempt.phases) for attempt in step_of(detail, "only").attempts]

    assert in_world(tmp_path, story, by_step({"only": Script(delay=30)})) == [("completed", None)]


@pytest.mark.parametrize("policy", ["always", "never"])
def test_removals_say_how_long_they_took(tmp_path: Path, policy: str) -> None:
    async def story(world: World) -> list[Event]:
        detail = await world.run(ONE.replace("]}", f"], cleanup_policy: {policy}}}"))
        await world.orchestrator.close(by="test")
        return await world.events(detail.run.id)

    def behaviour(spec: AgentSpec) -> Script:
        return Script(delay=1)

    removed = [
        event for event in in_world(tmp_path, story, behaviour) if event.type is EventType.AGENT_REMOVED
    ]
    assert [event.data["took"] for event in removed] == ([0.0] if policy == "always" else [])
