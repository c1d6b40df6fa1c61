"""The real dashboard over the real engine and the samples, driven and photographed without a terminal."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from agentainer_tui.app import DashboardApp
from agentainer_tui.bridge.client import EngineClient
from agentainer_tui.looks import UNICODE
from engine.settings import load_settings
from tests.fabricated import fabricate

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = Path("sample_workflows")
SIZE = (116, 34)
# Whatever goes wrong, the script ends.
DEADLINE = 60.0


class Camera:
    """Drives the app, and takes pictures of what it shows."""

    def __init__(self, app: DashboardApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the app work until something holds."""
        async with asyncio.timeout(DEADLINE):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.02)

    async def shows(self, text: str) -> None:
        """Let the app work until a text is on screen.

        Raises:
            TimeoutError: it never was; with what is there instead.
        """
        try:
            await self.until(lambda: text in self.seen())
        except TimeoutError:
            raise TimeoutError(f"{text!r} is not on screen:\n{self.seen()}") from None

    def seen(self) -> str:
        """The text on screen."""
        screen = self.app.screen
        rows = screen._compositor.render_strips(screen.size)
        return "\n".join("".join(segment.text for segment in row) for row in rows)

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        await self.pilot.press(*keys)

    async def run(self, name: str, **params: Any) -> str:
        """Start a sample, as `r` does."""
        entry = next(entry for entry in self.app.feed.workflows if entry.name == name)
        return await self.app.client.run(entry.path, params)

    async def finish(self, run_id: str) -> None:
        """Wait for the end of a run."""
        await self.until(lambda: run_id in self.app.feed.rows)
        await self.until(lambda: self.app.feed.rows[run_id].status.is_terminal)

    async def picture(self, title: str = "agentainer") -> str:
        """What is on screen as SVG, without notifications that happen to be there."""
        self.app.clear_notifications()
        await self.pilot.pause(0.3)
        return self.app.export_screenshot(title=title)


async def film(
    scenes: Callable[[Camera], Awaitable[None]], *, size: tuple[int, int] = SIZE, runs: int = 0
) -> None:
    """Let scenes happen in a directory of its own with a copy of the samples, which is removed afterwards.

    Args:
        scenes: what happens.
        size: of the terminal, columns and lines.
        runs: how many made-up runs are in the history before it begins.
    """
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="agentainer-") as place:
        home, directory = Path(place) / "home", Path(place) / "flows"
        shutil.copytree(
            ROOT / SAMPLES, directory / SAMPLES, ignore=shutil.ignore_patterns("*.py", "__pycache__")
        )
        os.chdir(directory)  # so that the header and the command lines read as a person's would
        if runs:
            await fabricate(home, runs=runs)
        client = EngineClient(load_settings(home=home, backend="process"), SAMPLES)
        app = DashboardApp(client, SAMPLES, glyphs=UNICODE)
        try:
            async with app.run_test(size=size) as pilot:
                camera = Camera(app, pilot)
                await camera.until(lambda: app.facts is not None)
                await scenes(camera)
        finally:
            await client.close()
            os.chdir(before)
