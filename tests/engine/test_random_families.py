"""Families of runs at random: bounded workflows that run each other, cancels of any of them, crashes.

Each seed is one reproducible story under virtual time: run `-k seed_17` to see one again.
"""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.events import EventType, RunStatus
from engine.history.records import RunRecord
from tests.engine.test_child_runs import recover_all
from tests.engine.world import World, check_invariants, in_world

SEEDS = range(60)
# Who runs whom, from the top: a workflow runs only those behind it.
NAMES = ("top", "middle", "low")


def document(rng: random.Random, place: int) -> str:
    steps: list[dict[str, Any]] = []
    for number in range(rng.randint(1, 3)):
        step: dict[str, Any] = {"id": f"s{number}", "timeout": rng.choice(["6s", "60s"])}
        if rng.random() < 0.5:
            step["depends_on"] = []
        if place + 1 < len(NAMES) and rng.random() < 0.7:
            step["sub_workflow_name"] = rng.choice(NAMES[place + 1 :])
            step["retry_policy"] = {"max_attempts": rng.randint(1, 2), "delay": "1s"}
            if rng.random() < 0.5:
                step |= {"type": "map", "map_config": {"input_path": "list"}}
        else:
            step["command"] = ["x"]
        steps.append(step)
    last = [{"id": "z", "command": ["x"]}] if rng.random() < 0.5 else []
    return json.dumps(
        {
            "name": NAMES[place],
            "config": {
                "max_active_runs": rng.choice([0, 1, 2]),
                "failure_strategy": rng.choice(["fail_fast", "continue"]),
                "timeout": rng.choice(["30s", "1h"]),
                "finally_timeout": "5s",
            },
            "state": {"list": [1, 2, 3]},
            "steps": steps,
            "finally": last,
        }
    )


def behaviour(seed: int, spec: AgentSpec) -> Script:
    """The same agent always does the same."""
    who = spec.identity
    rng = random.Random(f"{seed}/{who.workflow}/{who.step_id}/{who.item}/{who.attempt}")
    choice = rng.random()
    if choice < 0.15:
        return Script(exit_code=1, delay=rng.random() * 3)
    if choice < 0.2:
        return Script(delay=None, ignores_term=rng.random() < 0.5)
    return Script(delay=rng.random() * 3, stdout=rng.choice(["", '{"said": 1}']))


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed_{seed}")
def test_a_family_ends_together_whatever_befalls_it(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    texts = [document(rng, place) for place in range(len(NAMES))]

    async def story(world: World) -> None:
        world.library.update(zip(NAMES, texts, strict=True))
        started = [await world.start(rng.choice(texts)) for _ in range(rng.randint(1, 3))]
        for _ in range(rng.randint(0, 3)):
            await asyncio.sleep(rng.random() * 4)
            live = world.orchestrator.active
            if live and rng.random() < 0.5:
                hurry = rng.random() < 0.3
                await world.orchestrator.cancel(rng.choice(live), by="test", hurry=hurry)
            elif live:
                await world.crash(started[0])
                await recover_all(world)
        while world.orchestrator.active:
            await world.orchestrator.wait(world.orchestrator.active[0])
        await check(world)

    in_world(tmp_path, story, lambda spec: behaviour(seed, spec), max_tasks=3, stop_grace=2)


async def check(world: World) -> None:
    """Every run is over, and no child outlives its parent; bounds were kept; nothing is left."""
    runs = {run.id: run for run in await world.history.runs(limit=10_000)}
    for run in runs.values():
        check_invariants(await world.detail(run.id), await world.events(run.id))
        if run.parent is not None:
            parent = runs[run.parent.run_id]
            assert run.finished_at is not None
            assert parent.finished_at is not None
            assert run.finished_at <= parent.finished_at
            if run.status == RunStatus.COMPLETED and parent.status == RunStatus.COMPLETED:
                assert run.source == "parent"
    for name in NAMES:
        mine = [run for run in runs.values() if run.workflow == name]
        if mine:
            await check_bound(world, mine)
    assert world.backend.running == 0
    assert world.backend.agents == {}


async def check_bound(world: World, runs: list[RunRecord]) -> None:
    bound = json.loads(await world.history.document(runs[0].digest))["config"]["max_active_runs"]
    moves = []
    for run in runs:
        for event in await world.events(run.id):
            # One that is cancelled in the queue begins only to end.
            if event.type is EventType.RUN_STARTED and run.status != RunStatus.CANCELLED:
                moves.append((event.seq, 1))
            elif event.type is EventType.RUN_FINISHED and run.status != RunStatus.CANCELLED:
                moves.append((event.seq, -1))
    active = 0
    for _, move in sorted(moves):
        active += move
        assert not bound or active <= bound
