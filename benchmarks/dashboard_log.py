"""The log of the dashboard: keys while it grows fast, and how soon the end of a huge one is on screen."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from textual.app import App, ComposeResult
from textual.events import Key

from agentainer_tui.bridge.logs import FileLog
from agentainer_tui.looks import UNICODE
from agentainer_tui.theme import DARK, Palette
from agentainer_tui.widgets.log_pane import LogPane
from benchmarks.figures import Figure
from engine.history.log_format import record
from engine.history.log_index import LogIndex

RATE = 2_000
SECONDS = 10
LIMIT = 0.05
SIZE = 1 << 30
STAMP = "2026-01-01T12:00:00.000000Z"


class _LogApp(App[None]):
    """A log and nothing else, with the colours that the widgets want."""

    palette = Palette.of(DARK)
    glyphs = UNICODE

    def compose(self) -> ComposeResult:
        """The log."""
        yield LogPane()


def dashboard_log_figures() -> Iterator[Figure]:
    """Both figures, over files in a directory that is removed afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        delay = asyncio.run(_key_delay(Path(directory) / "growing.log"))
        yield Figure(f"log at {RATE} lines/s: p95 key delay", delay, "the limit", LIMIT, target=1.0)
        huge = Path(directory) / "huge.log"
        _fill(huge)
        floor = _tail_seconds(huge)
        shown, counted = asyncio.run(_open(huge))
        yield Figure("1 GB log: its end on screen", shown, "tail -n 50", floor)
        yield Figure("1 GB log: every line counted", counted, "tail -n 50", floor)


def _source(path: Path, over: asyncio.Event) -> FileLog:
    async def until_ended() -> None:
        await over.wait()

    return FileLog(LogIndex(path), until_ended)


async def _key_delay(path: Path) -> float:
    """The 95th percentile of the seconds from a key to what it does, while lines come."""
    app, over = _LogApp(), asyncio.Event()
    async with app.run_test(size=(160, 50)) as pilot:
        pane = app.query_one(LogPane)
        pane.show(lambda: _source(path, over))
        pane.view.focus()
        await pilot.pause()
        done = asyncio.Event()
        scroll = pane.view.action_scroll_left

        def noted() -> None:
            scroll()
            done.set()

        pane.view.action_scroll_left = noted  # type: ignore[method-assign]
        writing = asyncio.create_task(_write(path))
        delays = []
        while not writing.done():
            done.clear()
            begin = time.perf_counter()
            app.post_message(Key("left", None))
            await done.wait()
            delays.append(time.perf_counter() - begin)
            await asyncio.sleep(0.023)  # not in step with the batches
        over.set()
    return statistics.quantiles(delays, n=20)[-1]


async def _write(path: Path) -> None:
    """Write lines at `RATE`, a hundredth of a second's worth at a time."""
    begin, written = time.perf_counter(), 0
    with path.open("ab") as file:
        while (passed := time.perf_counter() - begin) < SECONDS:
            due = int(passed * RATE)
            for number in range(written, due):
                text = f"\x1b[32mINFO\x1b[0m request {number} took {number % 97} ms, nothing special".encode()
                file.write(record(STAMP, "stdout", text))
            written = due
            file.flush()
            await asyncio.sleep(0.01)


def _fill(path: Path) -> None:
    line = record(STAMP, "stdout", b"a line of a hundred letters or so, as programs write them all day long")
    portion = line * (8 * 1024 * 1024 // len(line))
    with path.open("wb") as file:
        while file.tell() < SIZE:
            file.write(portion)


def _tail_seconds(path: Path) -> float:
    taken = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run(["tail", "-n", "50", str(path)], stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


async def _open(path: Path) -> tuple[float, float]:
    """Seconds until lines are on screen, and until all are counted."""
    app, over = _LogApp(), asyncio.Event()
    over.set()
    async with app.run_test(size=(160, 50)) as pilot:
        pane = app.query_one(LogPane)
        begin = time.perf_counter()
        pane.show(lambda: _source(path, over))
        while not (pane.view.place.rows and pane.view.held(pane.view.place.rows[-1][0])):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        shown = time.perf_counter() - begin
        while pane.view.lens.extent.counted < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        counted = time.perf_counter() - begin
        await pilot.pause()
    return shown, counted
