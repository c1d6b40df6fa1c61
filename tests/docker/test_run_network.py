"""`network: run`: the agents of a run share a network namespace, which goes with the run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.facade import Engine, RunDetail, validate_file
from engine.settings import Settings
from tests import docker_images

pytestmark = pytest.mark.docker


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    settings = Settings(home=tmp_path / "home", backend="docker", max_starts=4, stop_grace=1)
    async with await Engine.open(settings) as engine:
        yield engine
    instance = (settings.home / "instance").read_text(encoding="ascii").strip()
    left = docker_images.containers_of(instance)
    docker_images.remove_containers_of(instance)
    assert left == []


async def begin(engine: Engine, tmp_path: Path, steps: list[dict[str, Any]]) -> str:
    file = tmp_path / "flow.json"
    file.write_text(json.dumps({"name": "flow", "steps": steps}), encoding="utf-8")
    plan, problems = validate_file(file)
    assert plan is not None, problems
    return await engine.start_run(plan, {}, source="test")


async def run(engine: Engine, tmp_path: Path, steps: list[dict[str, Any]]) -> RunDetail:
    run_id = await begin(engine, tmp_path, steps)
    await engine.wait(run_id)
    return await engine.history.detail(run_id)


def step(id_: str, image: str, command: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "image": image, "command": command, "network": "run", **more}


async def test_steps_reach_each_other_on_localhost_and_redis_as_usual(
    engine: Engine, tmp_path: Path, busybox_image: str
) -> None:
    serve = "echo hello from the other step | timeout 60 nc -l -p 8099"
    fetch = "until timeout 60 nc 127.0.0.1 8099 </dev/null 2>/dev/null; do sleep 0.05; done"
    ping = "printf 'PING\\r\\nQUIT\\r\\n' | nc $REDIS_HOST $REDIS_PORT | head -c 6"
    detail = await run(
        engine,
        tmp_path,
        [
            step("serve", busybox_image, serve, depends_on=[]),
            step("fetch", busybox_image, fetch, depends_on=[]),
            step("redis", busybox_image, ping, depends_on=["fetch"]),
            step("name", busybox_image, "hostname", depends_on=["fetch"]),
        ],
    )
    assert detail.run.status == "completed", detail.run.error
    results = {one.id: one.result for one in detail.steps}
    assert results["fetch"] == "hello from the other step"
    assert str(results["redis"]).startswith(("-NOAUT", "+PONG"))
    assert results["name"] == f"agentainer-net-{detail.run.id}"


async def test_the_namespace_goes_with_a_run_that_is_cancelled(
    engine: Engine, tmp_path: Path, busybox_image: str
) -> None:
    run_id = await begin(engine, tmp_path, [step("slow", busybox_image, "echo on; exec sleep 600")])
    async with asyncio.timeout(60):
        async for event in engine.subscribe(0, run_id=run_id):
            if event.type == "attempt.started":
                break
    holder = await asyncio.to_thread(docker_images.client().inspect_container, f"agentainer-net-{run_id}")
    assert holder["State"]["Running"]
    await engine.cancel(run_id, by="test")
    await engine.wait(run_id)


async def test_a_holder_that_was_removed_by_hand_is_made_anew(
    engine: Engine, tmp_path: Path, busybox_image: str
) -> None:
    run_id = await begin(
        engine,
        tmp_path,
        [
            step("first", busybox_image, "true"),
            {"id": "wait", "delay": "1s"},
            step("second", busybox_image, "true"),
        ],
    )
    async with asyncio.timeout(60):
        async for event in engine.subscribe(0, run_id=run_id):
            if (event.type, event.step_id) == ("step.finished", "first"):
                break
    client = docker_images.client()
    await asyncio.to_thread(client.remove_container, f"agentainer-net-{run_id}", force=True)
    await engine.wait(run_id)
    assert (await engine.history.detail(run_id)).run.status == "completed"


async def test_an_image_that_cannot_hold_a_namespace_has_one_of_its_own(
    engine: Engine, tmp_path: Path, busybox_image: str
) -> None:
    static = docker_images.image("static")
    steps = [{"id": "alone", "image": static, "network": "run"}, step("after", busybox_image, "hostname")]
    detail = await run(engine, tmp_path, steps)
    assert detail.run.status == "completed", detail.run.error
    assert detail.steps[1].result == f"agentainer-net-{detail.run.id}"


async def test_pooled_tasks_of_a_run_share_it_too(engine: Engine, tmp_path: Path, busybox_image: str) -> None:
    pooled = {"execution_mode": "pooled"}
    steps = [step("cold", busybox_image, "hostname"), step("warm", busybox_image, "hostname", **pooled)]
    detail = await run(engine, tmp_path, steps)
    assert [one.result for one in detail.steps] == [f"agentainer-net-{detail.run.id}"] * 2
    placement = detail.steps[1].attempts[0].placement
    assert placement is not None and placement["mode"] == "shell"
