"""Make the pictures of the documentation: the real app, over the real engine, with the sample workflows.

    python docs/make_screenshots.py [directory]

Runs without a terminal, on local processes, in a home of its own that is removed afterwards. What is seen
depends on the samples alone, up to run ids and fractions of a second.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from agentainer_tui.app import DashboardApp
from agentainer_tui.bridge.client import EngineClient
from agentainer_tui.looks import UNICODE
from agentainer_tui.screens.home import HomeScreen
from agentainer_tui.screens.run import RunScreen
from agentainer_tui.views import RunView
from agentainer_tui.widgets.step_list import RowKey
from engine.events import StepStatus
from engine.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = Path("sample_workflows")
SIZE = (116, 34)
# Whatever goes wrong, the script ends.
DEADLINE = 120.0


class Photographer:
    """Drives the app and writes what it sees."""

    def __init__(self, app: DashboardApp, pilot: Pilot[int], target: Path) -> None:
        self.app = app
        self.pilot = pilot
        self._target = target

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the app work until something holds."""
        async with asyncio.timeout(DEADLINE):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.02)

    async def run(self, name: str, **params: Any) -> str:
        """Start a sample, as `r` does."""
        entry = next(entry for entry in self.app.feed.workflows if entry.name == name)
        return await self.app.client.run(entry.path, params)

    async def finish(self, run_id: str) -> None:
        """Wait for the end of a run."""
        await self.until(lambda: run_id in self.app.feed.rows)
        await self.until(lambda: self.app.feed.rows[run_id].status.is_terminal)

    async def take(self, name: str) -> None:
        """Write a picture of what is on screen, without notifications that happen to be there."""
        self.app.clear_notifications()
        await self.pilot.pause(0.3)
        path = self._target / f"{name}.svg"
        path.write_text(self.app.export_screenshot(title="agentainer"), encoding="utf-8")
        print(path)


async def photograph(camera: Photographer) -> None:
    """All pictures, one after the other."""
    app, pilot = camera.app, camera.pilot
    await camera.until(lambda: app.facts is not None)
    for name in ("document_analysis", "hello", "resources", "mapreduce"):
        await camera.finish(await camera.run(name))
    pipeline = await camera.run("pipeline", limit=1)
    await camera.finish(pipeline)

    counting = await camera.run("mapreduce", pace=0.8)
    app.open_run(counting)
    await camera.until(lambda: isinstance(app.screen, RunScreen))
    await camera.until(lambda: _is_eventful(app.feed.views.get(counting)))
    screen = app.screen
    assert isinstance(screen, RunScreen)
    screen.steps.select(RowKey("process", 2))
    await camera.take("dashboard")

    await pilot.press("escape")
    await camera.until(lambda: isinstance(app.screen, HomeScreen))
    await pilot.press("g")
    await camera.take("home")

    app.open_run(pipeline)
    await camera.until(lambda: isinstance(app.screen, RunScreen) and app.screen.view is not None)
    await pilot.press("right_square_bracket")
    await camera.take("run")
    await pilot.press("R")
    await camera.until(lambda: app.screen.query("#scope"))
    await pilot.press("down", "down")
    await camera.take("retry")
    await pilot.press("escape")
    await camera.finish(counting)


def _is_eventful(view: RunView | None) -> bool:
    """Some items done, some running, and one between two tries."""
    if view is None:
        return False
    tally = view.steps["process"].tally
    return bool(tally.get(StepStatus.RETRYING)) and tally.get(StepStatus.COMPLETED, 0) >= 4


async def main(target: Path) -> None:
    """Open everything, take the pictures, close everything."""
    with tempfile.TemporaryDirectory(prefix="agentainer-") as home:
        client = EngineClient(load_settings(home=home, backend="process"), ROOT / SAMPLES)
        app = DashboardApp(client, SAMPLES, glyphs=UNICODE)
        try:
            async with app.run_test(size=SIZE) as pilot:
                await photograph(Photographer(app, pilot, target))
        finally:
            await client.close()


if __name__ == "__main__":
    images = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)
    asyncio.run(main(images))
