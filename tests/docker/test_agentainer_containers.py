"""Containers written for Agentainer, and such as know nothing of us, run unmodified (contract §2-§3)."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from engine.facade import Engine, RunDetail, validate_file
from engine.settings import Settings
from tests import docker_images

pytestmark = pytest.mark.docker

# What an Agentainer task container does: it knows a host and a port, nothing else.
TASK = """
import json, os, sys, redis
client = redis.Redis(host=os.environ["REDIS_HOST"], port=int(os.environ["REDIS_PORT"]), decode_responses=True)
workflow, task = os.environ["WORKFLOW_ID"], os.environ["TASK_ID"]
given = json.loads(client.get(f"task:{task}"))
assert given["task_id"] == task and given["workflow_id"] == workflow
state = f"workflow:{workflow}:state"
"""

LIST = (
    TASK
    + """
client.hset(state, "urls", json.dumps(["a", "bb", "ccc"]))
client.set(f"task:{task}:result", json.dumps({"listed": 3}), ex=3600)
client.publish(f"task:{task}:complete", "completed")
"""
)

PROCESS = (
    TASK
    + """
url = given["input"]["current_url"]
if url == "bb":
    client.rpush(state + ":list:map_errors", json.dumps({"url": url}))
    client.set(f"task:{task}:error", "cannot read bb")
    client.publish(f"task:{task}:complete", "error")
    sys.exit(1)
client.rpush(state + ":list:map_results", json.dumps({"url": url, "words": len(url)}))
client.set(f"task:{task}:result", json.dumps(len(url)), ex=3600)
client.publish(f"task:{task}:complete", "completed")
"""
)

AGGREGATE = (
    TASK
    + """
results = [json.loads(text) for text in client.lrange(state + ":list:map_results", 0, -1)]
errors = [json.loads(text) for text in client.lrange(state + ":list:map_errors", 0, -1)]
summary = {"words": sum(result["words"] for result in results), "failed": len(errors)}
client.hset(state, "final_summary", json.dumps(summary))
client.set(f"task:{task}:result", json.dumps(summary), ex=3600)
client.publish(f"task:{task}:complete", "completed")
"""
)


def mapreduce(image: str) -> dict[str, Any]:
    """Agentainer's word count, in the dialect of its code."""
    config = {"image": image, "redis_access": "open"}
    return {
        "name": "mapreduce",
        "steps": [
            {"id": "list", "name": "list", "type": "sequential", "config": config | _python(LIST)},
            {
                "id": "process",
                "name": "process",
                "type": "map",
                "depends_on": ["list"],
                "config": config
                | _python(PROCESS)
                | {
                    "map_config": {
                        "input_path": "urls",
                        "item_alias": "current_url",
                        "max_concurrency": 2,
                        "error_handling": "continue_on_error",
                    }
                },
            },
            {
                "id": "aggregate",
                "name": "aggregate",
                "type": "reduce",
                "depends_on": ["process"],
                "config": config | _python(AGGREGATE),
            },
        ],
    }


def _python(code: str) -> dict[str, Any]:
    return {"command": ["python3", "-c", code]}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    settings = Settings(home=tmp_path / "home", backend="docker", max_starts=4, stop_grace=2)
    async with await Engine.open(settings) as engine:
        yield engine
        docker_images.remove_containers_of(engine.instance)


async def run(engine: Engine, tmp_path: Path, document: dict[str, Any]) -> RunDetail:
    """Run a document to its end."""
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    plan, problems = validate_file(file)
    assert plan is not None, "\n".join(map(str, problems))
    run_id = await engine.start_run(plan, {})
    async with asyncio.timeout(60):
        await engine.wait(run_id)
    return await engine.history.detail(run_id)


async def test_agentainers_mapreduce_runs_unmodified(
    engine: Engine, tmp_path: Path, python_image: str
) -> None:
    detail = await run(engine, tmp_path, mapreduce(python_image))
    assert detail.run.status == "partially_completed"
    _, process, aggregate = detail.steps
    assert process.result == [1, None, 3]
    assert process.items[1].error == "cannot read bb"
    assert aggregate.result == {"words": 4, "failed": 1}
    assert detail.state["final_summary"] == {"words": 4, "failed": 1}
    assert detail.state["urls"] == ["a", "bb", "ccc"]


async def test_a_retry_from_the_last_step_finds_the_lists_that_earlier_steps_made(
    engine: Engine, tmp_path: Path, python_image: str
) -> None:
    first = await run(engine, tmp_path, mapreduce(python_image))
    run_id = await engine.retry(first.run.id, from_step="aggregate")
    await engine.wait(run_id)
    second = await engine.history.detail(run_id)
    assert second.steps[2].result == {"words": 4, "failed": 1}


async def test_a_container_that_knows_nothing_of_redis_is_fine(
    engine: Engine, tmp_path: Path, busybox_image: str
) -> None:
    step = {"id": "plain", "image": busybox_image, "command": ["true"]}
    detail = await run(engine, tmp_path, {"name": "plain", "steps": [step]})
    assert detail.run.status == "completed"


async def test_a_container_cannot_read_another_runs_keys(
    engine: Engine, tmp_path: Path, python_image: str
) -> None:
    code = """
import os, redis
for url in (os.environ["REDIS_URL"], f"redis://{os.environ['REDIS_HOST']}:{os.environ['REDIS_PORT']}"):
    client = redis.Redis.from_url(url)
    for attempt in (lambda: client.hgetall("workflow:000000000000:state"), lambda: client.flushall(),
                    lambda: client.keys("*"), lambda: client.config_get("*")):
        try:
            attempt()
        except (redis.exceptions.NoPermissionError, redis.exceptions.AuthenticationError):
            continue
        print("allowed")
"""
    step = {"id": "spy", "image": python_image, "redis_access": "run", **_python(code)}
    detail = await run(engine, tmp_path, {"name": "spy", "steps": [step]})
    assert detail.run.status == "completed", detail.steps[0].error
    assert detail.steps[0].result is None


async def test_without_access_a_container_gets_no_redis(
    engine: Engine, tmp_path: Path, busybox_image: str
) -> None:
    step = {
        "id": "alone",
        "image": busybox_image,
        "redis_access": "none",
        "network": "none",
        "command": "env | grep -c REDIS; ls /sys/class/net",
    }
    detail = await run(engine, tmp_path, {"name": "alone", "steps": [step]})
    assert detail.steps[0].result == "0\nlo"


async def test_redis_cli_shows_a_live_run(engine: Engine, tmp_path: Path, busybox_image: str) -> None:
    """`PSUBSCRIBE task:*:complete` and `HGETALL workflow:<id>:state`, with the documented programs."""
    client = redis.asyncio.Redis.from_url(engine.redis_url, decode_responses=True)
    heard = client.pubsub(ignore_subscribe_messages=True)
    await heard.psubscribe("task:*:complete")
    await heard.get_message(timeout=1)
    file = tmp_path / "live.json"
    steps = [
        {"id": "one", "image": busybox_image, "command": ["echo", '{"n": 1}']},
        {"id": "two", "image": busybox_image, "command": ["sleep", "3"]},
    ]
    file.write_text(json.dumps({"name": "live", "steps": steps}), encoding="utf-8")
    plan, _ = validate_file(file)
    assert plan is not None
    run_id = await engine.start_run(plan, {})
    async with asyncio.timeout(60):
        while True:
            message = await heard.get_message(timeout=1)
            if message and message["channel"] == f"task:task-{run_id}-one-1:complete":
                break
        while not (shown := await _hgetall(engine.redis_url, run_id)):
            await asyncio.sleep(0.05)
    assert shown == ["n", "1"]
    assert run_id in engine.active
    await engine.wait(run_id)
    await heard.aclose()  # type: ignore[no-untyped-call]
    await client.aclose()


async def _hgetall(url: str, run_id: str) -> list[str]:
    command = ["redis-cli", "--no-auth-warning", "-u", url, "HGETALL", f"workflow:{run_id}:state"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    return done.stdout.split()
