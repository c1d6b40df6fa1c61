"""Keys in the dashboard while a run of 500 steps goes on and one of its logs grows by 2,000 lines a second.

All of it is real: the app, the engine on its thread, local processes, Redis. A delay is the time from a key's
event to the screen that shows what it did. `python -m benchmarks.dashboard_busy` prints these figures alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.css.query import NoMatches
from textual.events import Key
from textual.widget import Widget

from agentainer_tui import cli  # noqa: F401 - it sets how often garbage is looked for, as in every dashboard
from agentainer_tui.app import DashboardApp
from agentainer_tui.bridge.client import EngineClient
from agentainer_tui.screens.run import RunScreen
from benchmarks.dashboard_log import LIMIT, RATE
from benchmarks.figures import HEADER, Figure
from engine.settings import Settings

STEPS = 500
SECONDS = 10
SIZE = (120, 40)
# Seconds that the app may take to show what is waited for.
_PATIENCE = 60.0

# Writes at its rate as long as anybody measures; how late it wakes up does not change the rate.
_TALK = f"""
import sys, time
begin, written = time.perf_counter(), 0
while (passed := time.perf_counter() - begin) < 120:
    due = int(passed * {RATE})
    for number in range(written, due):
        print("INFO request", number, "took", number % 97, "ms, nothing special")
    sys.stdout.flush()
    written = due
    time.sleep(0.01)
"""


def document() -> dict[str, Any]:
    """One step that talks, beside a chain of short ones."""
    talk = {"id": "talk", "command": [sys.executable, "-c", _TALK]}
    short: list[dict[str, Any]] = [{"id": f"s{number}", "command": ["true"]} for number in range(STEPS - 1)]
    for step, before in zip(short[1:], short, strict=False):
        step["depends_on"] = [before["id"]]
    return {"name": "busy", "config": {"max_parallel": 4}, "steps": [talk, *short]}


def dashboard_busy_figures() -> Iterator[Figure]:
    """Keys in the list of steps and in the log."""
    with tempfile.TemporaryDirectory() as directory:
        for where, delays in asyncio.run(_delays(Path(directory))).items():
            name = f"{STEPS}-step run, log at {RATE:,}/s: p95 key, {where}"
            yield Figure(name, statistics.quantiles(delays, n=20)[-1], "the limit", LIMIT, target=1.0)


@asynccontextmanager
async def _running(directory: Path) -> AsyncIterator[tuple[DashboardApp, RunScreen]]:
    """The dashboard, on the screen of the run, whose log is shown and followed."""
    files = directory / "files"
    files.mkdir()
    (files / "busy.json").write_text(json.dumps(document()), encoding="utf-8")
    settings = Settings(home=directory / "home", backend="process", stop_grace=0.5)
    client = EngineClient(settings, files)
    app = DashboardApp(client, files)
    async with app.run_test(size=SIZE, notifications=True):
        await _until(lambda: app.facts is not None)
        run_id = await client.run(str(files / "busy.json"), {})
        app.open_run(run_id, "talk")
        await _until(lambda: isinstance(app.screen, RunScreen) and app.screen.view is not None)
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await _until(lambda: len(screen.details.log_pane.view.place.rows) > 5)
        try:
            yield app, screen
        finally:
            await client.cancel(run_id, hurry=True)
            await client.close()


async def _delays(directory: Path) -> dict[str, list[float]]:
    async with _running(directory) as (app, screen):
        return {
            "steps": await _pressed(app, screen.steps, "down", "action_cursor_down"),
            "log": await _pressed(app, screen.details.log_pane.view, "left", "action_scroll_left"),
        }


async def _pressed(app: DashboardApp, widget: Widget, key: str, action: str) -> list[float]:
    """Seconds from each press of a key to the screen after it, for a while."""
    widget.focus()
    await _until(lambda: widget.has_focus)
    act: Callable[[], None] = getattr(widget, action)
    shown = asyncio.Event()

    def noted() -> None:
        act()
        widget.call_after_refresh(shown.set)

    setattr(widget, action, noted)
    delays = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < SECONDS / 2:
        shown.clear()
        pressed = time.perf_counter()
        app.post_message(Key(key, None))
        await shown.wait()
        delays.append(time.perf_counter() - pressed)
        await asyncio.sleep(0.023)  # not in step with what the app does ten times a second
    return delays


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            with contextlib.suppress(NoMatches):  # not on the screen yet
                if condition():
                    return
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    print(HEADER)
    for figure in dashboard_busy_figures():
        print(figure.line(), flush=True)
