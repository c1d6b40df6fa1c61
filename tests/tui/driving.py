"""Driving the app in tests: wait for what is to be seen, never for time to pass."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.css.query import NoMatches
from textual.pilot import Pilot
from textual.screen import Screen

from agentainer_tui.app import DashboardApp
from agentainer_tui.screens.home import HomeScreen
from agentainer_tui.screens.run import RunScreen
from tests.tui.fake_client import FakeClient

DEADLINE = 20.0
_LOOK = 0.04  # between two looks, each of which draws the screen; the app runs meanwhile


@asynccontextmanager
async def dashboard(
    client: FakeClient, *, size: tuple[int, int] = (120, 40), now: float | None = None
) -> AsyncIterator[tuple[DashboardApp, Pilot[int]]]:
    """The app over a scripted engine, when its first snapshot is on screen."""
    clock = time.time if now is None else lambda: now
    app = DashboardApp(client, Path("/projects/flows"), now=clock)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.facts is not None or app.failure is not None)
        await pilot.pause()
        yield app, pilot


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """Let the app work until `condition` holds; a widget or screen that is not there yet is no error."""
    async with asyncio.timeout(DEADLINE):
        while True:
            with contextlib.suppress(NoMatches, AssertionError):
                if condition():
                    return
            await asyncio.sleep(_LOOK)


def on_screen(app: DashboardApp) -> str:
    """The text of the whole screen, as a person sees it."""
    screen = app.screen
    return "\n".join(
        "".join(segment.text for segment in line) for line in screen._compositor.render_strips(screen.size)
    )


async def until_seen(pilot: Pilot[Any], text: str) -> None:
    """Let the app work until `text` stands on the screen."""
    app: Any = pilot.app
    try:
        await until(pilot, lambda: text in on_screen(app))
    except TimeoutError:
        raise AssertionError(f"{text!r} is not on screen:\n{on_screen(app)}") from None


def home(app: DashboardApp) -> HomeScreen:
    """The first screen, which must be the one that is seen."""
    assert isinstance(app.screen, HomeScreen), app.screen
    return app.screen


def run_screen(app: DashboardApp) -> RunScreen:
    """The screen of a run, which must be the one that is seen."""
    assert isinstance(app.screen, RunScreen), app.screen
    return app.screen


def top(app: DashboardApp) -> Screen[Any]:
    """The screen or dialog that is seen."""
    return app.screen
