"""Warm agents that die all the time: every task completes once, and nothing is left."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from docker.errors import APIError

from engine.facade import Engine, validate_file
from engine.settings import Settings
from tests import docker_images

pytestmark = pytest.mark.docker

TASKS = 2000
SEED = 20261123


def workflow(image: str) -> str:
    """Tasks that take a moment, so that some have an agent when that is killed."""
    return json.dumps(
        {
            "name": "churn",
            "state": {"numbers": list(range(TASKS))},
            "config": {"max_parallel": 6},
            "pools": {"churn": {"min_size": 2, "max_size": 4, "max_agent_uses": 300, "warm_up": True}},
            "steps": [
                {
                    "id": "all",
                    "type": "map",
                    "image": image,
                    "pool": "churn",
                    "command": "test $((MAP_INDEX % 40)) != 7 || sleep 0.2; echo $MAP_ITEM",
                    "map_config": {"input_path": "$.numbers", "item_alias": "number"},
                }
            ],
        }
    )


async def kill_now_and_then(instance: str, over: asyncio.Event, random_: random.Random) -> int:
    """Kill or remove a random warm agent, idle or busy, until it is over; returns how many."""
    client, killed = docker_images.client(), 0
    while not over.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), random_.uniform(0.5, 1.5))
        labels = [f"agentainer.instance={instance}", "agentainer.pool"]
        found = await asyncio.to_thread(client.containers, filters={"label": labels})
        if found and not over.is_set():
            victim = random_.choice(found)["Id"]
            with suppress(APIError):  # it has just gone by itself
                if random_.random() < 0.5:
                    await asyncio.to_thread(client.kill, victim)
                else:
                    await asyncio.to_thread(client.remove_container, victim, force=True)
                killed += 1
    return killed


async def test_every_task_completes_once_while_agents_are_killed_and_none_is_left(
    tmp_path: Path, busybox_image: str
) -> None:
    file = tmp_path / "churn.json"
    file.write_text(workflow(busybox_image), encoding="utf-8")
    plan, problems = validate_file(file)
    assert plan is not None, problems
    settings = Settings(home=tmp_path / "home", backend="docker")
    async with await Engine.open(settings) as engine:
        over = asyncio.Event()
        instance = (settings.home / "instance").read_text(encoding="ascii").strip()
        killing = asyncio.create_task(kill_now_and_then(instance, over, random.Random(SEED)))
        run_id = await engine.start_run(plan, {}, source="test")
        await engine.wait(run_id)
        over.set()
        killed = await killing
        detail = await engine.history.detail(run_id)
        (report,) = engine.pools()
    assert killed > 0
    assert (detail.run.status, detail.run.error) == ("completed", None)
    (step,) = detail.steps
    assert [item.result for item in step.items] == list(range(TASKS))
    assert Counter(item.status for item in step.items) == {"completed": TASKS}
    assert {len(item.attempts) for item in step.items} <= {1, 2}
    assert report.tasks >= TASKS
    assert report.retired.get("died", 0) > 0
    assert docker_images.containers_of(instance) == []
