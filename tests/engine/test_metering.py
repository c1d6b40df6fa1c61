"""Live metrics: Redis has them while a run is live, and exactly at its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import Placement, Usage
from engine.agents.memory import Script
from engine.errors import HistoryError
from engine.insight import metrics_of_run
from engine.metering import Metering
from engine.orchestrator.manager import Orchestrator
from engine.state import keys
from tests.engine.world import World, by_step, in_world

SLOW = """
name: slow
steps:
  - {id: first, image: x}
  - {id: second, image: x, depends_on: [first]}
"""
SCRIPTS = {
    "first": Script(delay=10.0, usage=Usage(cpu_seconds=2.5, memory_peak=1000, network_in=7)),
    "second": Script(delay=2.0, usage=Usage(cpu_seconds=0.5, memory_peak=4000)),
}


def metered(
    tmp_path: Path, story: Callable[[World, Metering], Coroutine[Any, Any, None]], **scripts: Script
) -> None:
    """Run `story` in a world whose engine tells of metrics."""

    async def whole(world: World) -> None:
        metering = Metering(world.history, world.store, world.clock, lambda: world.journal.last_seq)
        world.services = replace(world.services, metering=metering)
        world.orchestrator = Orchestrator(world.services, world.history, environ={})
        try:
            await story(world, metering)
        finally:
            await metering.close()

    in_world(tmp_path, whole, by_step({**SCRIPTS, **scripts}))


def told(world: World) -> list[dict[str, Any]]:
    return [json.loads(text) for channel, text in world.store.published if channel == keys.METRICS_EVENTS]


async def shown(world: World, run_id: str) -> Any:
    raw = await world.store.get(keys.metrics(run_id))
    return None if raw is None else json.loads(raw)


def test_a_live_run_is_told_of_now_and_then_and_exactly_at_its_end(tmp_path: Path) -> None:
    async def story(world: World, metering: Metering) -> None:
        run_id = await world.start(SLOW)
        await asyncio.sleep(5)
        live = await shown(world, run_id)
        assert (live["status"], live["step_metrics"]["first"]["status"]) == ("running", "running")
        assert 0.9 <= live["duration"] <= 5
        await world.finish(run_id)
        await metering.close()
        last = await shown(world, run_id)
        exact = (await metrics_of_run(world.history, run_id)).to_json()
        assert last == exact
        assert (last["status"], last["resource_usage"]["cpu_seconds"]) == ("completed", 3.0)
        assert last["resource_usage"]["memory_bytes"] == 4000
        assert last["resource_usage"]["cpu_millicores"] == pytest.approx(250, abs=5)
        messages = told(world)
        assert [message["status"] for message in messages][-1] == "completed"
        assert all(message["type"] == "workflow_metrics" for message in messages)
        assert messages[-1]["steps"] == {"completed": 2}
        # Not every second: where nothing happens, nothing is told.
        assert 2 <= len(messages) <= 6

    metered(tmp_path, story)


def test_the_last_metrics_expire_and_the_live_ones_do_not(tmp_path: Path) -> None:
    async def story(world: World, metering: Metering) -> None:
        run_id = await world.start(SLOW.replace("name: slow", "name: slow\nconfig: {timeout: 3h}"))
        await asyncio.sleep(keys.KEEP_SECONDS + 100)
        assert (await shown(world, run_id))["status"] == "running"
        await world.finish(run_id)
        await metering.close()
        assert (await shown(world, run_id))["status"] == "completed"
        await asyncio.sleep(keys.KEEP_SECONDS + 1)
        assert await shown(world, run_id) is None

    metered(tmp_path, story, first=Script(delay=2.0 * keys.KEEP_SECONDS))


def test_a_short_run_is_told_of_once(tmp_path: Path) -> None:
    async def story(world: World, metering: Metering) -> None:
        detail = await world.run(SLOW)
        await metering.close()
        assert [message["status"] for message in told(world)] == ["completed"]
        assert (await shown(world, detail.run.id))["workflow_id"] == detail.run.id

    metered(tmp_path, story, first=Script(delay=0.1), second=Script(delay=0.1))


def test_a_run_that_is_cancelled_has_its_last_metrics_too(tmp_path: Path) -> None:
    async def story(world: World, metering: Metering) -> None:
        run_id = await world.start(SLOW)
        await asyncio.sleep(3)
        await world.orchestrator.cancel(run_id, by="test")
        await world.finish(run_id)
        await metering.close()
        assert (await shown(world, run_id))["status"] == told(world)[-1]["status"] == "cancelled"

    metered(tmp_path, story)


def test_an_outage_of_redis_costs_metrics_and_nothing_else(tmp_path: Path) -> None:
    async def story(world: World, metering: Metering) -> None:
        run_id = await world.start(SLOW)
        await asyncio.sleep(3)
        before = len(told(world))
        tell = world.store.tell_metrics
        world.store.set_down(True)
        await asyncio.sleep(4)
        assert len(told(world)) == before
        world.store.set_down(False)
        detail = await world.finish(run_id)
        await metering.close()
        assert detail.run.status == "completed" and told(world)[-1]["status"] == "completed"
        assert world.store.tell_metrics == tell

    metered(tmp_path, story)


def test_a_history_that_cannot_be_read_costs_metrics_and_nothing_else(tmp_path: Path) -> None:
    class Unreadable:
        async def run(self, ref: str) -> Any:
            raise HistoryError("the disk is on fire")

    async def story(world: World) -> None:
        history: Any = Unreadable()
        metering = Metering(history, world.store, world.clock, lambda: world.journal.last_seq)
        world.services = replace(world.services, metering=metering)
        world.orchestrator = Orchestrator(world.services, world.history, environ={})
        assert (await world.run(SLOW)).run.status == "completed"
        await metering.close()
        assert told(world) == []

    in_world(tmp_path, story, by_step(SCRIPTS))


def test_pooled_tasks_are_counted_as_reuse(tmp_path: Path) -> None:
    async def story(world: World, metering: Metering) -> None:
        warm = Placement("shell", "warm", reused=True, uses=3)
        backend = world.backend
        backend.placement = lambda name: warm  # type: ignore[method-assign]
        detail = await world.run(SLOW)
        await metering.close()
        usage = (await shown(world, detail.run.id))["resource_usage"]
        assert (usage["tasks"], usage["agents_deployed"], usage["agents_reused"]) == (2, 0, 2)
        assert usage["pool_utilization"] == 1.0

    metered(tmp_path, story)
