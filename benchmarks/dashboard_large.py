"""Large runs in the dashboard: how soon they are on screen, a move of the cursor, a tick of the clock."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from textual.css.query import NoMatches

from agentainer_tui.app import DashboardApp
from agentainer_tui.screens.run import RunScreen
from benchmarks.figures import Figure
from engine.events import Event
from tests.tui.fake_client import FakeClient
from tests.tui.story import Story, node

SIZE = (160, 50)
# What a person takes for at once: a key, and a screen.
_KEY, _OPEN, _TICK = 0.05, 1.0, 0.02


class _Journal(FakeClient):
    """The scripted engine, with pages of events that cost what a page costs."""

    async def run_events(
        self, run_id: str, *, after: int, limit: int, step_id: str | None = None, item: int | None = None
    ) -> tuple[Event, ...]:
        """A page; the numbers of the events are their places."""
        return tuple(self.journal[after : after + limit])


def dashboard_large_figures() -> Iterator[Figure]:
    """All figures; each beside the time that a person takes for nothing."""
    for what, story in (("1,000 steps", _many_steps()), ("10,000 items", _many_items())):
        opened, moved, ticked = asyncio.run(_open(story))
        yield _limited(f"run of {what}: read and on screen", opened, _OPEN)
        yield _limited(f"run of {what}: median cursor move", moved, _KEY)
        yield _limited(f"run of {what}: median tick", ticked, _TICK)


def _limited(name: str, value: float, limit: float) -> Figure:
    return Figure(name, value, "the limit", limit, target=1.0)


@asynccontextmanager
async def _app(client: FakeClient) -> AsyncIterator[DashboardApp]:
    app = DashboardApp(client, Path("/w"))
    async with app.run_test(size=SIZE) as pilot:
        while app.facts is None:
            await pilot.pause()
        yield app


async def _until(condition: Callable[[], object]) -> None:
    while True:
        with suppress(NoMatches):  # not composed yet
            if condition():
                return
        await asyncio.sleep(0.001)


async def _drawn(screen: RunScreen) -> None:
    """Wait until what has changed is painted."""
    done = asyncio.Event()
    screen.call_after_refresh(done.set)
    await done.wait()


async def _screen(app: DashboardApp, story: Story) -> RunScreen:
    app.open_run(story.run_id)
    await _until(lambda: isinstance(app.screen, RunScreen) and app.screen.steps.keys)
    screen = app.screen
    assert isinstance(screen, RunScreen)
    await _drawn(screen)
    return screen


async def _open(story: Story) -> tuple[float, float, float]:
    """Seconds until a run is on screen, and medians of a cursor move and of a tick, painted."""
    client = _Journal()
    async with _app(client) as app:
        client.journal = story.events
        begin = time.perf_counter()
        screen = await _screen(app, story)
        opened = time.perf_counter() - begin
        if screen.view is not None and "map" in screen.view.steps:
            screen.steps.unfold("map", True)
            await _drawn(screen)
        moves = [await _timed(screen, screen.steps.action_cursor_down) for _ in range(60)]
        ticks = [await _timed(screen, screen.tick) for _ in range(20)]
    return opened, statistics.median(moves), statistics.median(ticks)


async def _timed(screen: RunScreen, action: Callable[[], None]) -> float:
    begin = time.perf_counter()
    action()
    await _drawn(screen)
    return time.perf_counter() - begin


def _wide(number: int) -> Story:
    """Layers of ten, each step after one of the layer before."""
    plan = [node(f"s{place}", *([f"s{place - 10}"] if place >= 10 else [])) for place in range(number)]
    return Story("a1b2c3d4e5f6", epoch=datetime.now(UTC)).create(plan, workflow="wide").start()


def _many_steps() -> Story:
    story = _wide(1000)
    for place in range(500):
        story.run_step(f"s{place}", 0.05)
    return story.step_start("s500").attempt("s500")


def _many_items() -> Story:
    story = Story("a1b2c3d4e5f6", epoch=datetime.now(UTC) - timedelta(minutes=1))
    story.create([node("map", type="map"), node("end", "map")], workflow="items")
    story.start().step_start("map").expand("map", [f"item {number}" for number in range(10_000)])
    for index in range(6_000):
        story.run_step("map", 0.01, index)
    return story.step_start("map", 6_000).attempt("map", 1, 6_000)
