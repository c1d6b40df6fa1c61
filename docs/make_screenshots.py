"""Make the pictures of the documentation: the real app, over the real engine, with the sample workflows.

    python -m docs.make_screenshots [directory]

Runs without a terminal, on local processes, in a home of its own that is removed afterwards. What is seen
depends on the samples alone, up to run ids and fractions of a second; the history that the metrics are of is
made up.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from agentainer_tui.screens.compare import CompareScreen
from agentainer_tui.screens.run import RunScreen
from agentainer_tui.views import RunView
from agentainer_tui.widgets.step_list import RowKey
from docs.camera import ROOT, Camera, film
from engine.events import StepStatus


async def working(album: Album, camera: Camera) -> None:
    """A run in progress, the first screen beside it, and what a person does with runs that are over."""
    app = camera.app
    for name in ("document_analysis", "hello", "resources", "mapreduce"):
        await camera.finish(await camera.run(name))
    pipeline = await camera.run("pipeline", limit=1)
    await camera.finish(pipeline)
    counting = await camera.run("mapreduce", pace=0.8)
    app.open_run(counting)
    await camera.until(lambda: _is_eventful(app.feed.views.get(counting)))
    screen = app.screen
    assert isinstance(screen, RunScreen)
    screen.steps.select(RowKey("process", 2))
    await album.add("dashboard", camera)
    await camera.press("1", "g")
    await album.add("home", camera)
    await camera.finish(counting)
    app.open_run(pipeline)
    await camera.shows("pipeline")
    await camera.press("right_square_bracket")
    await album.add("run", camera)
    await camera.press("v")
    await album.add("boxes", camera)
    await camera.press("v", "less_than_sign", "less_than_sign", "less_than_sign")
    await album.add("time-travel", camera)
    await camera.press("escape", "R")
    await camera.until(lambda: app.screen.query("#scope"))
    await camera.press("down", "down")
    await album.add("retry", camera)
    await camera.press("escape")
    app.open_run(counting)
    await camera.shows("pace=0.8")
    await camera.press("equals_sign")
    await camera.until(lambda: isinstance(app.screen, CompareScreen))
    await album.add("compare", camera)


async def failing(album: Album, camera: Camera) -> None:
    """A failure, and why."""
    app = camera.app
    run_id = await camera.run("etl_with_finally", bad_rows=3)
    await camera.finish(run_id)
    app.open_run(run_id)
    await camera.shows("failed")
    await camera.press("exclamation_mark")
    await album.add("failure", camera)


async def looking_back(album: Album, camera: Camera) -> None:
    """A long history, in a list and in figures."""
    await camera.press("3")
    await camera.shows("USUAL")
    await album.add("history", camera)
    await camera.press("5")
    await camera.shows("p90")
    await album.add("metrics", camera)


class Album:
    """Writes pictures into a directory."""

    def __init__(self, target: Path) -> None:
        self._target = target

    async def add(self, name: str, camera: Camera) -> None:
        """What is on screen now, under a name."""
        path = self._target / f"{name}.svg"
        path.write_text(await camera.picture(), encoding="utf-8")
        print(path)


def _is_eventful(view: RunView | None) -> bool:
    """Some items done, some running, and one between two tries."""
    if view is None:
        return False
    tally = view.steps["process"].tally
    return bool(tally.get(StepStatus.RETRYING)) and tally.get(StepStatus.COMPLETED, 0) >= 4


async def main(target: Path) -> None:
    """All pictures, one after the other."""
    album = Album(target)
    await film(partial(working, album))
    await film(partial(failing, album))
    await film(partial(looking_back, album), runs=400)


if __name__ == "__main__":
    images = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(images))
