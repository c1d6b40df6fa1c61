"""Make the recorded tour: the real app, driven key by key over the real engine, as one animated SVG.

    python -m docs.make_tour [file]

The keys that are pressed are those in the captions; local processes run the samples in a home
of its own that is removed afterwards.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agentainer_tui.screens.run import RunScreen
from docs.animation import Frame, animate
from docs.camera import ROOT, Camera, film

# An edit as a person would make it: the text that never answers is given up sooner.
_BEFORE, _AFTER = "max_attempts: 3", "max_attempts: 2"


class Tour:
    """Takes the frames."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def take(self, camera: Camera, caption: str, seconds: float = 2.5) -> None:
        """What is on screen, for so long."""
        self.frames.append(Frame(await camera.picture(), seconds, f"agentainer — {caption}"))

    async def __call__(self, camera: Camera) -> None:
        """Run, watch, look inside, find out why, go back in time, change, run again, compare."""
        app, press = camera.app, camera.press
        await press("slash", *"mapr", "enter")
        await self.take(camera, "workflows of a directory; / finds one")
        await press("r")
        await camera.shows("Seconds that each text takes")
        await self.take(camera, "r runs it, after asking for its params")
        await press("enter", "enter", "enter")
        await camera.until(lambda: isinstance(app.screen, RunScreen) and app.screen.view is not None)
        for _ in range(8):
            await camera.pilot.pause(0.25)
            await self.take(camera, "the whole graph at once, every try a bar", 0.7)
        run_id = next(iter(app.feed.rows))
        await camera.finish(run_id)
        await self.take(camera, "nine texts counted, one failed within its tolerance")
        await press("right_curly_bracket")
        await self.take(camera, "} to the next that failed: its log, complete")
        await press("exclamation_mark")
        await camera.shows("Why")
        await self.take(camera, "! why: exit code, last lines, what changed", 3.5)
        await press("escape", "right_square_bracket")
        await self.take(camera, "] turns the tabs: results as a tree")
        await press("less_than_sign", "less_than_sign", "less_than_sign", "less_than_sign")
        await self.take(camera, "< back in time, step by step", 1.5)
        await press("less_than_sign", "less_than_sign", "less_than_sign", "less_than_sign")
        await self.take(camera, "< every pane shows that moment", 2.5)
        await press("escape", "v")
        await self.take(camera, "v the graph as boxes and arrows")
        _edit(Path("sample_workflows/mapreduce.yaml"))
        await press("v", "R")
        await camera.until(lambda: app.screen.query("#scope"))
        await press("end")
        await camera.shows("3 → 2")
        await self.take(camera, "R the file was edited: what is reused, what runs again, why", 4.0)
        await press("escape", "3")
        await camera.shows("USUAL")
        await self.take(camera, "3 the history, with filters")
        await press("5")
        await camera.shows("Runs")
        await camera.pilot.pause(1.0)
        await self.take(camera, "5 figures over time")


def _edit(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert _BEFORE in text
    file.write_text(text.replace(_BEFORE, _AFTER), encoding="utf-8")


def main(target: Path) -> None:
    """Take the tour and write it."""
    tour = Tour()
    asyncio.run(film(tour, size=(110, 32), runs=300))
    target.write_text(animate(tour.frames), encoding="utf-8")
    print(f"{target}: {len(tour.frames)} frames, {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "tour.svg")
