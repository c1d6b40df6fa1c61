"""The long lists of the dashboard: the history and the metrics over 10,000 and 100,000 runs.

The whole app on the real engine, from the key to the rows on screen.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from agentainer_tui.app import DashboardApp
from agentainer_tui.bridge.client import EngineClient
from agentainer_tui.screens.history import HistoryScreen
from agentainer_tui.screens.metrics import MetricsScreen
from benchmarks.figures import Figure
from benchmarks.history import fill
from engine.settings import Settings

SIZES = (10_000, 100_000)
# Seconds that a person may wait for rows, for what a text narrows them down to, and for figures.
OPENED, FOUND, COUNTED = 0.5, 2.0, 3.0
PASSES = 3


@dataclass(slots=True)
class _Taken:
    """Seconds of each pass."""

    opened: list[float]
    found: list[float]
    counted: list[float]


def dashboard_list_figures() -> Iterator[Figure]:
    """Opening the history, finding a run in it by text, and the first figures."""
    for runs in SIZES:
        with tempfile.TemporaryDirectory() as directory:
            home = Path(directory) / "home"
            # Nothing is let go of meanwhile.
            settings = Settings(home=home, backend="process", keep_days=0, keep_runs=0)
            home.mkdir()
            fill(settings.database, runs)
            floor, scan = _floors(settings.database)
            taken = _Taken([], [], [])
            for _ in range(PASSES):
                asyncio.run(_look(settings, Path(directory), taken))
        page, all_runs = "last 100 runs, SQLite", "all runs and params, SQLite"
        yield Figure(
            f"history of {runs:,} runs: first page",
            statistics.median(taken.opened),
            page,
            floor,
            limit=OPENED,
        )
        yield Figure(
            f"history of {runs:,} runs: the oldest by text", statistics.median(taken.found), all_runs, scan,
            limit=FOUND,
        )  # fmt: skip
        yield Figure(
            f"metrics of {runs:,} runs: first figures", statistics.median(taken.counted), all_runs, scan,
            limit=COUNTED,
        )  # fmt: skip


async def _look(settings: Settings, directory: Path, taken: _Taken) -> None:
    """One pass: a new app, its history, the oldest run, its metrics."""
    client = EngineClient(settings, directory)
    app = DashboardApp(client, directory)
    oldest = _oldest(settings.database)
    try:
        async with app.run_test(size=(160, 50)) as pilot:
            await _until(pilot, lambda: app.facts is not None)
            taken.opened.append(await _seconds(pilot, "3", lambda: bool(_history(app).history.keys)))
            await pilot.press("slash", *oldest[:-1])
            found = await _seconds(pilot, oldest[-1], lambda: list(_history(app).history.keys) == [oldest])
            taken.found.append(found)
            await pilot.press("escape")
            taken.counted.append(await _seconds(pilot, "5", lambda: bool(_metrics(app).workflows.keys)))
    finally:
        await client.close()


async def _seconds(pilot: Pilot[Any], key: str, seen: Callable[[], bool]) -> float:
    """From a key to what it leads to, drawn."""
    begin = time.perf_counter()
    await pilot.press(key)
    await _until(pilot, seen)
    await pilot.pause()
    return time.perf_counter() - begin


async def _until(pilot: Pilot[Any], seen: Callable[[], bool]) -> None:
    while not seen():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def _history(app: DashboardApp) -> HistoryScreen:
    assert isinstance(app.screen, HistoryScreen)
    return app.screen


def _metrics(app: DashboardApp) -> MetricsScreen:
    assert isinstance(app.screen, MetricsScreen)
    return app.screen


def _oldest(database: Path) -> str:
    connection = sqlite3.connect(database)
    (found,) = connection.execute("SELECT id FROM runs ORDER BY seq LIMIT 1").fetchone()
    connection.close()
    return str(found)


def _floors(database: Path) -> tuple[float, float]:
    """Seconds for the newest page, and for reading what a text is looked for in, of all runs."""
    connection = sqlite3.connect(database)
    taken = []
    for sql in (
        "SELECT * FROM runs ORDER BY seq DESC LIMIT 100",
        "SELECT workflow, id, reason, error, params FROM runs",
    ):
        begin = time.perf_counter()
        connection.execute(sql).fetchall()
        taken.append(time.perf_counter() - begin)
    connection.close()
    return taken[0], taken[1]
