"""Random graphs, behaviours, cancellations and crashes; what must hold of every run holds of all of them.

Each seed is one reproducible story under virtual time: run `-k seed_17` to see one again.
"""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from engine.events import EventType, RunStatus
from engine.history.records import RunDetail
from tests.engine.random_workflows import behaviour
from tests.engine.world import World, in_world

SEEDS = range(150)


def document(rng: random.Random) -> str:
    """A random workflow as JSON, which is YAML too."""
    names = [f"s{number}" for number in range(rng.randint(1, 9))]
    steps: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        step: dict[str, Any] = {
            "id": name,
            "command": ["x"],
            "depends_on": rng.sample(names[:place], rng.randint(0, min(place, 3))),
            "timeout": rng.choice(["4s", "60s"]),
            "retry_policy": {
                "max_attempts": rng.randint(1, 3),
                "backoff": rng.choice(["constant", "linear", "exponential"]),
                "delay": "2s",
                "jitter": rng.choice(["none", "full", "equal"]),
            },
        }
        kind = rng.random()
        if kind < 0.2:
            step |= {"type": "map", "map_config": _map(rng)}
        elif kind < 0.3:
            step |= {"type": "parallel", "max_workers": rng.randint(2, 4)}
        elif kind < 0.4:
            step["condition"] = {"field": "$.never", "operator": "exists", "value": True}
        steps.append(step)
    config = {
        "failure_strategy": rng.choice(["fail_fast", "continue"]),
        "cleanup_policy": rng.choice(["always", "on_success", "never"]),
        "max_parallel": rng.choice([0, 1, 2]),
        "timeout": rng.choice(["15s", "1h"]),
    }
    return json.dumps({"name": "random", "config": config, "state": {"list": [1, 2, 3, 4]}, "steps": steps})


def _map(rng: random.Random) -> dict[str, Any]:
    return {
        "input_path": "list",
        "max_concurrency": rng.randint(0, 2),
        "error_handling": rng.choice(["fail_fast", "continue_on_error"]),
        **rng.choice([{}, {"tolerated_failure_count": 1}]),
    }


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed_{seed}")
def test_every_run_ends_once_and_leaves_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    text = document(rng)

    async def story(world: World) -> None:
        run_id = await world.start(text)
        crashes = rng.randint(0, 2)
        for _ in range(crashes):
            await asyncio.sleep(rng.random() * 4)
            detail = await world.crash(run_id)
            if RunStatus(detail.run.status).is_terminal:
                break
            await world.reap()
            await world.resume(detail, text)
        cancelled = rng.random() < 0.3
        if cancelled:
            await asyncio.sleep(rng.random() * 6)
            await world.orchestrator.cancel(run_id, by="test", hurry=rng.random() < 0.3)
        detail = await world.finish(run_id)
        _check(world, detail)
        events = await world.events(run_id)
        _check_moves(events)

    in_world(tmp_path, story, lambda spec: behaviour(seed, spec), max_tasks=3)


def _check(world: World, detail: RunDetail) -> None:
    """What is left is exactly what the history calls kept; a status follows from those below it."""
    attempts = [
        attempt
        for step in detail.steps
        for attempt in (*step.attempts, *(a for item in step.items for a in item.attempts))
    ]
    kept = {attempt.agent for attempt in attempts if attempt.kept}
    assert set(world.backend.agents) <= kept
    for step in detail.steps:
        if step.status == "completed" and step.type in ("sequential", "reduce"):
            assert step.attempts[-1].status == "completed"
    if detail.run.status == "completed":
        assert all(step.status == "completed" or step.reason == "condition_false" for step in detail.steps)


def _check_moves(events: list[Any]) -> None:
    """The intent of an attempt is in the journal before anything else about it."""
    created = set()
    for event in events:
        if event.attempt is None:
            continue
        key = (event.step_id, event.item, event.attempt)
        if event.type is EventType.ATTEMPT_CREATED:
            assert key not in created
            created.add(key)
        else:
            assert key in created
