"""Profiles of runs that the engine did itself, on virtual time: every second is known."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.agents.backend import AgentSpec
from engine.agents.memory import Behaviour, Script
from engine.clock import parse_time
from engine.events import RunStatus
from engine.history.records import RunRecord
from engine.profiling import Profile, StepProfile, chrome_trace, profile_run, speedscope
from tests.engine import random_workflows
from tests.engine.test_random_workflows import tell
from tests.engine.world import World, by_step, in_world, until


def profiled(home: Path, document: str, behaviour: Behaviour, **settings: Any) -> Profile:
    """The profile of a run of a document, read from its history."""

    async def story(world: World) -> Profile:
        return await profile(world, (await world.run(document)).run.id)

    return in_world(home, story, behaviour, **settings)


async def profile(world: World, ref: str) -> Profile:
    await world.orchestrator.close(by="test")  # removals of agents are over then
    found = await profile_run(world.history, ref, world.settings)
    assert sum(found.parts.values()) == pytest.approx(found.duration)
    return found


def rounded(parts: Any) -> dict[str, float]:
    return {part: round(seconds, 3) for part, seconds in parts.items()}


def step(found: Profile, step_id: str) -> StepProfile:
    return next(one for one in found.steps if one.id == step_id)


def path(found: Profile) -> list[tuple[str | None, int | None, int | None, float]]:
    return [(link.step_id, link.item, link.attempt, round(link.seconds, 3)) for link in found.path]


DIAMOND = """\
name: w
steps:
  - {id: a, command: [a], depends_on: []}
  - {id: fast, command: [b], depends_on: [a]}
  - {id: slow, command: [c], depends_on: [a]}
  - {id: z, command: [d], depends_on: [fast, slow]}
"""


def test_a_diamond(tmp_path: Path) -> None:
    slow = Script(prepare_delay=1, create_delay=0.5, start_delay=0.25, delay=5)
    scripts = {"a": Script(delay=1), "fast": Script(delay=2), "slow": slow, "z": Script(delay=1)}
    found = profiled(tmp_path, DIAMOND, by_step(scripts))

    assert path(found) == [("a", None, 1, 1), ("slow", None, 1, 6.75), ("z", None, 1, 1)]
    assert rounded(found.parts) == {"image": 1, "create": 0.5, "start": 0.25, "run": 7}
    assert rounded(found.totals) == {"image": 1, "create": 0.5, "start": 0.25, "run": 9}
    assert step(found, "z").dependencies == pytest.approx(7.75)


def test_a_map_with_a_straggler_and_a_bound(tmp_path: Path) -> None:
    document = (
        "name: w\nstate: {xs: [1, 2, 3, 4, 5]}\nsteps:\n  - {id: m, type: map, command: [m],"
        " map_config: {input_path: xs, max_concurrency: 2}}\n"
    )

    def behaviour(spec: AgentSpec) -> Script:
        return Script(delay=9 if spec.identity.item == 4 else 2)

    found = profiled(tmp_path, document, behaviour, max_tasks=4)

    assert path(found) == [("m", 4, None, 4), ("m", 4, 1, 9)]
    assert [rounded(item.parts) for item in step(found, "m").items] == [
        {"run": 2}, {"run": 2}, {"queue": 2, "run": 2}, {"queue": 2, "run": 2}, {"queue": 4, "run": 9},
    ]  # fmt: skip
    assert (found.parallelism.peak, found.parallelism.slots) == (2, 4)
    assert [(one.type, one.component) for one in found.bottlenecks] == [
        ("concurrency", "step m, item 4"), ("concurrency", "step m"),
    ]  # fmt: skip
    assert ("map_config.max_concurrency", "2", "4") in [
        (one.setting, one.present, one.proposed) for one in found.recommendations
    ]


def test_slots_of_the_run_that_are_taken(tmp_path: Path) -> None:
    document = (
        "name: w\nconfig: {max_parallel: 1}\nsteps:\n"
        "  - {id: a, type: parallel, command: [a]}\n  - {id: b, type: parallel, command: [b]}\n"
    )
    found = profiled(tmp_path, document, lambda spec: Script(delay=5))
    assert path(found) == [("b", None, None, 5), ("b", None, 1, 5)]
    assert rounded(found.parts) == {"queue": 5, "run": 5}
    assert [one.setting for one in found.recommendations] == ["config.max_parallel"]


def test_tries_with_pauses(tmp_path: Path) -> None:
    document = (
        "name: w\nsteps:\n  - {id: a, command: [a],"
        " retry_policy: {max_attempts: 3, delay: 10s, backoff: linear}}\n"
    )

    def behaviour(spec: AgentSpec) -> Script:
        return Script(delay=1, exit_code=int(spec.identity.attempt < 3))

    found = profiled(tmp_path, document, behaviour)
    assert path(found) == [("a", None, 1, 1), ("a", None, None, 10), ("a", None, 2, 1),
                           ("a", None, None, 20), ("a", None, 3, 1)]  # fmt: skip
    assert rounded(step(found, "a").parts) == {"run": 3, "backoff": 30}
    assert [(one.setting, one.proposed) for one in found.recommendations] == [("retry_policy.delay", "1s")]


def test_delays_and_handlers(tmp_path: Path) -> None:
    document = (
        "name: w\nsteps:\n  - {id: rest, type: delay, delay: 30s}\n"
        "  - {id: a, command: [a]}\nfinally:\n  - {id: last, command: [l]}\n"
    )
    found = profiled(tmp_path, document, lambda spec: Script(delay=2))
    assert rounded(found.parts) == {"run": 4, "delay": 30}
    assert path(found) == [("rest", None, None, 30), ("a", None, 1, 2), ("last", None, 1, 2)]


def test_sub_workflows_count_under_their_step(tmp_path: Path) -> None:
    document = (
        "name: w\nsteps:\n  - {id: a, command: [a]}\n  - id: sub\n    workflow:\n      name: inner\n"
        "      steps:\n        - {id: deep, command: [d]}\n        - {id: deeper, command: [d]}\n"
    )
    found = profiled(tmp_path, document, lambda spec: Script(start_delay=1, delay=3))
    assert [(link.step_id, round(link.seconds, 3)) for link in found.path] == [
        ("a", 4), ("deep", 4), ("deeper", 4),
    ]  # fmt: skip
    assert rounded(step(found, "sub").parts) == {"start": 2, "run": 6}
    assert rounded(found.totals) == {"start": 3, "run": 9}
    assert step(found, "sub").critical == pytest.approx(8)


def test_members_of_parallel_steps(tmp_path: Path) -> None:
    document = (
        "name: w\nsteps:\n  - id: all\n    type: parallel\n    steps:\n"
        "      - {id: x, command: [x]}\n      - {id: y, command: [y]}\n"
    )
    found = profiled(tmp_path, document, by_step({"x": Script(delay=2), "y": Script(delay=6)}))
    assert path(found) == [("y", None, 1, 6)]
    assert rounded(found.totals) == {"run": 8}


def test_a_cancelled_run(tmp_path: Path) -> None:
    async def story(world: World) -> Profile:
        run_id = await world.start(DIAMOND)
        await until(lambda: world.backend.running == 2)
        await world.orchestrator.cancel(run_id, by="test")
        await world.finish(run_id)
        return await profile(world, run_id)

    scripts = {
        "a": Script(delay=1),
        "fast": Script(delay=None),
        "slow": Script(delay=None, ignores_term=True),
    }
    found = in_world(tmp_path, story, by_step(scripts))
    assert [link.step_id for link in found.path] == ["a", "slow"]
    assert rounded(found.parts)["run"] == pytest.approx(found.duration, abs=0.05)
    assert step(found, "z").critical == 0


def test_a_crash_that_the_task_did_not_survive_is_time_without_an_engine(tmp_path: Path) -> None:
    document = "name: w\nsteps:\n  - {id: a, command: [a]}\n"

    async def story(world: World) -> Profile:
        run_id = await world.start(document)
        await until(lambda: world.backend.running == 1)
        detail = await world.crash(run_id)
        await world.clock.sleep(100)
        await world.recover(detail, document)
        return await profile(world, run_id)

    found = in_world(tmp_path, story, by_step({"a": Script(delay=300)}))
    assert rounded(found.parts) == {"run": pytest.approx(300, abs=0.1)}, "it went on by itself"

    lost = in_world(tmp_path / "2", story, by_step({"a": Script(delay=300, lost_after=50)}))
    assert lost.parts["away"] == pytest.approx(101, abs=0.1)


def test_a_run_that_waits_for_a_person_has_a_profile_while_it_does(tmp_path: Path) -> None:
    gate = "{id: gate, type: approval, approval: {message: go}}"
    document = f"name: w\nsteps:\n  - {{id: a, command: [a]}}\n  - {gate}\n"

    async def story(world: World) -> Profile:
        run_id = await world.start(document)
        await world.clock.sleep(50)
        return await profile_run(world.history, run_id, world.settings)

    found = in_world(tmp_path, story, by_step({"a": Script(delay=5)}))
    assert found.live
    assert rounded(found.parts)["run"] == 5  # nobody holds the home: as of the last that is known


def test_the_same_work_done_again_may_be_remembered(tmp_path: Path) -> None:
    document = "name: w\nsteps:\n  - {id: a, command: [a]}\n  - {id: b, command: [b]}\n"

    def behaviour(spec: AgentSpec) -> Script:
        same = spec.identity.step_id == "a"
        return Script(delay=20, stdout="1" if same else f'"{spec.identity.run_id}"')

    async def story(world: World) -> Profile:
        first = await world.run(document)
        assert (await profile_run(world.history, first.run.id, world.settings)).recommendations == ()
        return await profile(world, (await world.run(document)).run.id)

    found = in_world(tmp_path, story, behaviour)
    assert [(one.component, one.setting) for one in found.recommendations] == [("step a", "cache")]


def test_samples_of_profiled_runs_are_part_of_the_profile(tmp_path: Path) -> None:
    from tests.engine.test_monitoring import PROFILED, busy

    found = profiled(tmp_path, PROFILED, lambda spec: Script(delay=5.5, samples=busy(0.5)))
    assert found.profiled
    (attempt,) = step(found, "only").attempts
    assert attempt.samples is not None
    assert len(attempt.samples["rows"]) == 6


def test_profiles_of_documents_that_cannot_be_read_any_more(tmp_path: Path) -> None:
    async def story(world: World) -> Profile:
        run_id = (await world.run(DIAMOND)).run.id
        await world.orchestrator.close(by="test")
        import sqlite3

        with world.loop.outside(), sqlite3.connect(world.settings.database) as database:
            database.execute("UPDATE documents SET text = 'steps: 7'")
        database.close()
        return await profile_run(world.history, run_id, world.settings)

    found = in_world(tmp_path, story, lambda spec: Script(delay=1))
    assert found.duration == pytest.approx(3)


# -- any run ------------------------------------------------------------------------------------------


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(document=random_workflows.documents(), seed=st.integers(0, 2**32), stop=st.integers(0, 3))
def test_profiles_of_random_runs_add_up_whatever_befell_them(
    document: random_workflows.Step, seed: int, stop: int
) -> None:
    """Random steps, outcomes and interleavings; some are cancelled, some lose their engine."""

    async def story(world: World) -> None:
        text = random_workflows.as_text(document)
        run_id = await world.start(text)
        await asyncio.sleep(stop)
        if stop == 1:
            await world.orchestrator.cancel(run_id, by="test")
        detail = await world.crash(run_id) if stop == 2 else await world.detail(run_id)
        if stop == 2 and not RunStatus(detail.run.status).is_terminal:
            await world.recover(detail, text)
        elif stop != 2:
            await world.finish(run_id)
        await tells_every_second(world, run_id)

    tell(document, seed, story)


async def tells_every_second(world: World, run_id: str) -> None:
    found = await profile(world, run_id)
    run = (await world.detail(run_id)).run
    assert not found.live
    assert found.duration == pytest.approx(wall_time(run), abs=1e-3)
    cursor = 0.0
    for link in found.path:
        assert link.begin == pytest.approx(cursor, abs=1e-6)
        cursor = link.end
    assert cursor == pytest.approx(found.duration, abs=1e-6)
    for one in found.steps:
        if not one.items and one.parts and not any(attempt.child_run for attempt in one.attempts):
            assert sum(one.parts.values()) == pytest.approx(one.wall, abs=1e-6)
    json.dumps([found.to_json(), chrome_trace(found), speedscope(found)], allow_nan=False)


def wall_time(run: RunRecord) -> float:
    if run.started_at is None or run.finished_at is None:
        return 0.0
    return (parse_time(run.finished_at) - parse_time(run.started_at)).total_seconds()
