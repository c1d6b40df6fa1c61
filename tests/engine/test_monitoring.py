"""What attempts used and what happened to their agents, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec, Notice, Sample, Usage
from engine.agents.memory import Script
from engine.errors import BackendError, Reason
from engine.events import Event, EventType
from engine.history.records import AttemptRecord
from tests.engine.world import World, by_step, in_world, step_of, until

ONE_STEP = "name: w\nsteps:\n  - {id: only, command: [work]}\n"
PROFILED = "name: w\nconfig: {enable_profiling: true}\nsteps:\n  - {id: only, command: [work]}\n"
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
LOOKS = [1, 2, 4, 8, 16, 32, 62, 92, 122]


Samples = Callable[[float], Sample]


def busy(cores: float = 1.0, memory: Callable[[float], int] = lambda second: 1000) -> Samples:
    """What an agent uses that keeps so many CPUs busy."""
    return lambda second: Sample(
        MOMENT + timedelta(seconds=second), cores * second, memory(second), network_in=int(10 * second)
    )


def told(home: Path, script: Script, document: str = ONE_STEP, **settings: Any) -> tuple[Any, ...]:
    """The attempt of a run of one step, its events, and the world it was in."""

    async def story(world: World) -> tuple[Any, ...]:
        detail = await world.run(document)
        return step_of(detail, "only").attempts[-1], await world.events(detail.run.id), world

    return in_world(home, story, by_step({"only": script}), **settings)


def warnings(events: list[Event]) -> list[str]:
    return [event.data["message"] for event in events if event.type is EventType.WARNING]


# -- looks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "looks"), [(0.5, 0), (1.5, 1), (5, 3), (130, 9)])
def test_looks_become_rarer_and_a_short_task_costs_none(tmp_path: Path, seconds: float, looks: int) -> None:
    _, _, world = told(tmp_path, Script(delay=seconds, samples=busy()), silence_warning=0)

    assert [at for _, at in world.backend.looks] == pytest.approx(LOOKS[:looks])


def test_what_the_looks_saw_is_in_history_as_sampled(tmp_path: Path) -> None:
    def spike(second: float) -> int:
        return 9000 if 3 < second < 5 else 1000

    attempt, events, _ = told(tmp_path, Script(delay=10, samples=busy(2.0, spike)))

    assert attempt.usage == {"cpu_seconds": 16.0, "memory_peak": 9000, "network_in": 80, "sampled": True}
    assert not [event for event in events if event.type is EventType.ATTEMPT_SAMPLED]


def test_an_attempt_that_nobody_looked_at_has_no_usage(tmp_path: Path) -> None:
    attempt, _, _ = told(tmp_path, Script(delay=0.5, samples=busy()))
    assert attempt.usage is None


def test_the_peak_that_the_backend_knows_counts(tmp_path: Path) -> None:
    def sample(second: float) -> Sample:
        return Sample(MOMENT, second, 10, memory_peak=500 if second < 3 else 20)

    attempt, _, _ = told(tmp_path, Script(delay=10, samples=sample))
    assert attempt.usage["memory_peak"] == 500


def test_exact_figures_of_the_backend_win_and_the_rest_is_what_was_seen(tmp_path: Path) -> None:
    exact = Usage(cpu_seconds=9.75, memory_peak=None)
    attempt, _, _ = told(tmp_path, Script(delay=10, samples=busy(), usage=exact))
    assert attempt.usage == {"cpu_seconds": 9.75, "memory_peak": 1000, "network_in": 80, "sampled": True}

    attempt, _, _ = told(tmp_path / "2", Script(delay=0.1, usage=Usage(cpu_seconds=0.05, memory_peak=7)))
    assert attempt.usage == {"cpu_seconds": 0.05, "memory_peak": 7, "sampled": False}


def test_an_attempt_that_timed_out_says_what_it_used(tmp_path: Path) -> None:
    document = "name: w\nsteps:\n  - {id: only, command: [work], timeout: 20s}\n"
    attempt, _, _ = told(tmp_path, Script(delay=None, samples=busy()), document)
    assert attempt.reason == "timed_out"
    assert attempt.usage["cpu_seconds"] == 16.0


def test_looks_that_come_to_nothing_end(tmp_path: Path) -> None:
    _, _, world = told(tmp_path, Script(delay=4000), silence_warning=0)
    assert len(world.backend.looks) == 3


def test_measuring_that_fails_changes_nothing(tmp_path: Path) -> None:
    def broken(second: float) -> Sample:
        raise BackendError(Reason.INFRA_ERROR, "no answer", transient=True)

    def odd(second: float) -> Sample:
        raise ZeroDivisionError

    for number, samples in enumerate((broken, odd)):
        for document in (ONE_STEP, PROFILED):
            home = tmp_path / f"{number}{len(document)}"
            attempt, _, _ = told(home, Script(delay=10, samples=samples), document)
            assert attempt.status == "completed"
            assert attempt.usage is None


def test_each_try_has_figures_of_its_own(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        first = spec.identity.attempt == 1
        return Script(exit_code=int(first), delay=3, samples=busy(4.0 if first else 1.0))

    document = (
        "name: w\nsteps:\n  - {id: only, command: [work], retry_policy: {max_attempts: 2, delay: 1s}}\n"
    )

    async def story(world: World) -> list[float]:
        detail = await world.run(document)
        return [(attempt.usage or {})["cpu_seconds"] for attempt in step_of(detail, "only").attempts]

    assert in_world(tmp_path, story, behaviour) == [8.0, 2.0]


# -- profiles -----------------------------------------------------------------------------------------


def test_a_profiled_attempt_is_followed_second_by_second_in_one_stream(tmp_path: Path) -> None:
    attempt, events, world = told(tmp_path, Script(delay=5.5, samples=busy(0.5)), PROFILED)

    (sampled,) = [event for event in events if event.type is EventType.ATTEMPT_SAMPLED]
    assert sampled.attempt == 1 and sampled.step_id == "only"
    assert sampled.data["every"] == 1.0
    assert [row[0] for row in sampled.data["rows"]] == pytest.approx([0.1, 1.1, 2.1, 3.1, 4.1, 5.1])
    assert [row[1] for row in sampled.data["rows"]] == pytest.approx([0, 500, 500, 500, 500, 500])
    kinds = [event.type for event in events if event.attempt == 1]
    assert kinds.index(EventType.ATTEMPT_SAMPLED) == kinds.index(EventType.ATTEMPT_FINISHED) - 1
    assert attempt.usage["cpu_seconds"] == pytest.approx(2.55)
    assert world.backend.looks == []
    assert (world.backend.most_streams, world.backend.streams) == (1, 0)


def test_a_long_profile_stays_small(tmp_path: Path) -> None:
    _, events, _ = told(tmp_path, Script(delay=10_000, samples=busy()), PROFILED, silence_warning=0)

    (sampled,) = [event for event in events if event.type is EventType.ATTEMPT_SAMPLED]
    assert 300 <= len(sampled.data["rows"]) <= 600
    assert sampled.data["every"] == 32.0
    assert sampled.data["rows"][-1][0] == pytest.approx(9999, abs=2)


def test_a_task_that_is_over_at_once_opens_no_stream(tmp_path: Path) -> None:
    attempt, _, world = told(tmp_path, Script(delay=0.05, samples=busy()), PROFILED)
    assert attempt.usage is None
    assert world.backend.most_streams == 0


def test_a_profile_of_what_cannot_be_measured_has_no_rows(tmp_path: Path) -> None:
    attempt, events, _ = told(tmp_path, Script(delay=10), PROFILED)
    assert attempt.usage is None
    assert not [event for event in events if event.type is EventType.ATTEMPT_SAMPLED]


def test_a_cancelled_run_leaves_no_stream_open(tmp_path: Path) -> None:
    async def story(world: World) -> tuple[int, int, list[Event]]:
        run_id = await world.start(PROFILED)
        await until(lambda: world.backend.streams == 1)
        await asyncio.sleep(3)
        before = world.backend.streams
        await world.orchestrator.cancel(run_id, by="test")
        await world.finish(run_id)
        return before, world.backend.streams, await world.events(run_id)

    before, after, events = in_world(tmp_path, story, by_step({"only": Script(delay=None, samples=busy())}))
    assert (before, after) == (1, 0)
    assert [event for event in events if event.type is EventType.ATTEMPT_SAMPLED]


def test_an_attempt_that_another_engine_takes_over_is_measured_on(tmp_path: Path) -> None:
    async def story(world: World) -> AttemptRecord:
        run_id = await world.start(ONE_STEP)
        await asyncio.sleep(20)
        detail = await world.crash(run_id)
        return step_of(await world.recover(detail, ONE_STEP), "only").attempts[-1]

    attempt = in_world(tmp_path, story, by_step({"only": Script(delay=100, samples=busy())}))
    assert attempt.number == 1 and attempt.status == "completed"
    assert (attempt.usage or {})["cpu_seconds"] == pytest.approx(92, abs=1.5)


# -- silence ------------------------------------------------------------------------------------------


def test_a_silent_idle_agent_is_warned_of_once(tmp_path: Path) -> None:
    _, events, _ = told(tmp_path, Script(delay=5000, samples=busy(0.001)), silence_warning=60)

    (message,) = warnings(events)
    assert "has written nothing and used next to no CPU for 6" in message
    (at,) = [event.time for event in events if event.type is EventType.WARNING]
    started = next(event.time for event in events if event.type is EventType.ATTEMPT_STARTED)
    assert 60 <= (at - started).total_seconds() <= 90


def test_an_agent_that_works_silently_is_not_warned_of(tmp_path: Path) -> None:
    _, events, _ = told(tmp_path, Script(delay=5000, samples=busy(0.5)), silence_warning=60)
    assert warnings(events) == []


def test_where_nothing_is_known_of_its_cpu_only_output_counts(tmp_path: Path) -> None:
    _, events, _ = told(tmp_path, Script(delay=5000), silence_warning=60)
    (message,) = warnings(events)
    assert "has written nothing for 60 s" in message


def test_silence_can_be_nobodys_business(tmp_path: Path) -> None:
    _, events, _ = told(tmp_path, Script(delay=50_000, samples=busy(0.0)), silence_warning=0)
    assert warnings(events) == []


@pytest.mark.parametrize("samples", [None, busy(0.0)], ids=["unknown", "idle"])
@pytest.mark.parametrize("document", [ONE_STEP, PROFILED], ids=["looks", "stream"])
def test_it_is_warned_of_again_only_after_it_has_done_something(
    tmp_path: Path, document: str, samples: Samples | None
) -> None:
    async def story(world: World) -> tuple[int, int, int]:
        async def count() -> int:
            return len(warnings(await world.events(run_id)))

        run_id = await world.start(document)
        await until(lambda: world.backend.running == 1)
        (agent,) = world.backend.agents.values()
        await asyncio.sleep(500)
        first = await count()
        agent.sink.write("stdout", b"still here\n")
        await asyncio.sleep(90)
        second = await count()
        await asyncio.sleep(500)
        third = await count()
        await world.orchestrator.cancel(run_id, by="test")
        await world.finish(run_id)
        return first, second, third

    script = Script(delay=None, samples=samples)
    assert in_world(tmp_path, story, by_step({"only": script}), silence_warning=100) == (1, 1, 2)


def test_an_agent_that_writes_now_and_then_is_not_silent(tmp_path: Path) -> None:
    async def story(world: World) -> list[str]:
        run_id = await world.start(ONE_STEP)
        await until(lambda: world.backend.running == 1)
        (agent,) = world.backend.agents.values()
        for _ in range(20):
            await asyncio.sleep(40)
            agent.sink.write("stderr", b".")
        await world.orchestrator.cancel(run_id, by="test")
        await world.finish(run_id)
        return warnings(await world.events(run_id))

    script = Script(delay=None, samples=busy(0.0))
    assert in_world(tmp_path, story, by_step({"only": script}), silence_warning=100) == []


# -- notices ------------------------------------------------------------------------------------------


def noticed(home: Path, *notices: Notice, script: Script | None = None, **settings: Any) -> list[Event]:
    """The events of a run whose agent is told of by these notices, one each 10 s."""

    async def story(world: World) -> list[Event]:
        run_id = await world.start(ONE_STEP)
        await until(lambda: world.backend.running == 1)
        (name,) = world.backend.agents
        for notice in notices:
            await asyncio.sleep(10)
            world.backend.notice(name, notice)
        await world.finish(run_id)
        return await world.events(run_id)

    return in_world(home, story, by_step({"only": script or Script(delay=1000)}), **settings)


def test_an_unhealthy_agent_is_a_warning_with_the_last_words_of_its_check(tmp_path: Path) -> None:
    events = noticed(
        tmp_path,
        Notice("unhealthy", MOMENT, "exit code 1: no route to the database"),
        Notice("healthy", MOMENT),
        silence_warning=0,
    )
    first, second = warnings(events)
    assert "is unhealthy" in first and "exit code 1: no route to the database" in first
    assert "is healthy again" in second
    assert {event.step_id for event in events if event.type is EventType.WARNING} == {"only"}


def test_a_paused_agent_is_said_to_be_paused_and_not_to_be_silent(tmp_path: Path) -> None:
    events = noticed(tmp_path, Notice("paused", MOMENT), silence_warning=50)
    (message,) = warnings(events)
    assert "is paused" in message and "docker unpause agentainer-" in message


def test_the_time_of_a_pause_is_no_silence(tmp_path: Path) -> None:
    script = Script(delay=28)
    events = noticed(
        tmp_path, Notice("paused", MOMENT), Notice("resumed", MOMENT), script=script, silence_warning=15
    )
    assert ["paused" in message or "pause" in message for message in warnings(events)] == [True, True]


def test_what_happens_to_an_agent_after_its_task_is_over_is_no_business_of_the_attempt(
    tmp_path: Path,
) -> None:
    async def story(world: World) -> list[str]:
        run_id = await world.start("name: w\nsteps: [{id: only, command: [x], cleanup_policy: never}]\n")
        await world.finish(run_id)
        (name,) = world.backend.agents
        world.backend.notice(name, Notice("unhealthy", MOMENT))
        return warnings(await world.events(run_id))

    assert in_world(tmp_path, story, by_step({"only": Script(delay=1)})) == []


def test_the_timeout_of_an_unhealthy_agent_stays_in_force(tmp_path: Path) -> None:
    async def story(world: World) -> str | None:
        run_id = await world.start("name: w\nsteps:\n  - {id: only, command: [work], timeout: 30s}\n")
        await until(lambda: world.backend.running == 1)
        (name,) = world.backend.agents
        world.backend.notice(name, Notice("unhealthy", MOMENT))
        return step_of(await world.finish(run_id), "only").reason

    assert in_world(tmp_path, story, by_step({"only": Script(delay=None)})) == "timed_out"
