"""Whole runs come to the same in containers of their own, at warm agents, and with one for each task."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.facade import AttemptRecord, Engine, RunDetail, validate_file
from engine.settings import Settings
from tests import docker_images

pytestmark = pytest.mark.docker

WAYS: dict[str, dict[str, Any] | None] = {
    "cold": None,
    "pooled": {"max_size": 2},
    "single use": {"max_size": 3, "max_agent_uses": 1},
}
IN_REDIS = """
import json, os, redis
client = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
task, workflow = os.environ["TASK_ID"], os.environ["WORKFLOW_ID"]
given = json.loads(client.get(f"task:{task}"))
client.hset(f"workflow:{workflow}:state", "told", json.dumps(given["task_id"] == task))
client.set(f"task:{task}:result", json.dumps({"by": "redis"}), ex=3600)
client.publish(f"task:{task}:complete", "completed")
"""
HOG = "x = bytearray(300 << 20); print(len(x))"


def steps() -> list[dict[str, Any]]:
    """Each does something that an engine must get right around a task."""
    return [
        {"id": "redis", "command": ["python3", "-c", IN_REDIS]},
        {"id": "json", "command": "printf '{\"a\": [1, null]}'"},
        {"id": "words", "command": "echo it\\'s $ODD; echo careful >&2", "env_vars": {"ODD": "ü\n2"}},
        {"id": "build", "command": "mkdir /tmp/out; echo built > /tmp/out/app", "artifacts": ["/tmp/out"]},
        {"id": "use", "depends_on": ["build"], "command": 'cat "$AGENTAINER_ARTIFACTS/build/out/app"'},
        {"id": "missing", "command": "true", "artifacts": ["/tmp/nothing"]},
        {"id": "mounted", "command": "cat /data/in; echo more >> /data/out", "volumes": ["./data:/data"]},
        {"id": "read_only", "command": "echo x > /data/x", "volumes": ["./data:/data:ro"]},
        {"id": "three", "command": "echo no use >&2; exit 3"},
        {"id": "no_program", "command": ["no-such-program", "x"]},
        {"id": "nobody", "command": "id -u; pwd", "user": "nobody", "working_dir": "/tmp"},
        {"id": "stubborn", "command": "trap '' TERM; while :; do sleep 0.1; done", "timeout": "1s"},
        {"id": "too_large", "command": ["python3", "-c", HOG], "resource_limits": {"memory_limit": "64Mi"}},
        {
            "id": "third_time",
            "command": "test $AGENTAINER_ATTEMPT = 3 && echo well",
            "retry_policy": {"max_attempts": 3, "delay": "10ms"},
        },
        {
            "id": "items",
            "type": "map",
            "command": "test ! -e mine && touch mine && echo $MAP_INDEX",
            "map_config": {"input_path": "$.numbers"},
        },
    ]  # fmt: skip


def document(image: str, pool: dict[str, Any] | None) -> dict[str, Any]:
    """The workflow, with or without a pool for all of its steps."""
    way = {"image": image} | ({"pool": "all"} if pool is not None else {})
    return {
        "name": "everything",
        "state": {"numbers": list(range(8))},
        "config": {"failure_strategy": "continue", "max_parallel": 3},
        "pools": {"all": pool} if pool is not None else {},
        "steps": [step | way for step in steps()],
    }


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    settings = Settings(home=tmp_path / "home", backend="docker", max_starts=4, stop_grace=0.5)
    async with await Engine.open(settings) as engine:
        yield engine
    assert docker_images.containers_of(engine.instance) == []


async def run(engine: Engine, directory: Path, document: dict[str, Any]) -> RunDetail:
    """Run a document to its end, in a directory of its own."""
    (directory / "data").mkdir(parents=True)
    (directory / "data" / "in").write_text("given", encoding="utf-8")
    file = directory / "workflow.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    plan, problems = validate_file(file)
    assert plan is not None, "\n".join(map(str, problems))
    run_id = await engine.start_run(plan, {})
    async with asyncio.timeout(90):
        await engine.wait(run_id)
    return await engine.history.detail(run_id)


def told(attempts: tuple[AttemptRecord, ...]) -> list[tuple[object, ...]]:
    """What a person is told of attempts, but for times and places."""
    return [(one.number, one.status, one.reason, one.exit_code, one.error) for one in attempts]


def outcome(detail: RunDetail) -> dict[str, Any]:
    """All that must not depend on the way."""
    found: dict[str, Any] = {
        step.id: (
            step.status,
            step.reason,
            step.result,
            told(step.attempts),
            [(item.status, item.result, told(item.attempts)) for item in step.items],
        )
        for step in detail.steps
    }
    return found | {"": (detail.run.status, dict(detail.state))}


async def test_a_run_comes_to_the_same_whatever_way_its_tasks_take(
    engine: Engine, tmp_path: Path, python_image: str
) -> None:
    outcomes, modes = {}, {}
    for way, pool in WAYS.items():
        place = tmp_path / way
        detail = await run(engine, place, document(python_image, pool))
        outcomes[way] = outcome(detail)
        assert (place / "data" / "out").read_text(encoding="utf-8") == "more\n"
        attempts = [one for step in detail.steps for one in step.attempts]
        attempts += [one for step in detail.steps for item in step.items for one in item.attempts]
        modes[way] = {one.placement["mode"] if one.placement else None for one in attempts}
    cold = outcomes["cold"]
    assert modes == {"cold": {None}, "pooled": {"shell"}, "single use": {"shell"}}
    for way, found in outcomes.items():
        for step, came in found.items():
            assert (way, step, came) == (way, step, cold[step])
    assert {step: came[1] for step, came in cold.items() if step and came[1]} == {
        "missing": "bad_result",
        "read_only": "task_failed",
        "three": "task_failed",
        "no_program": "start_failed",
        "stubborn": "timed_out",
        "too_large": "oom_killed",
    }
    assert cold["redis"][2] == {"by": "redis"}
    assert [item[1] for item in cold["items"][4]] == list(range(8))
