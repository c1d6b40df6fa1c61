"""A run with something to inspect in every tab, and ways to get there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from agentainer_tui.app import DashboardApp
from agentainer_tui.inspector.drawing import draw, plain_text
from agentainer_tui.widgets.details_pane import DetailsPane
from agentainer_tui.widgets.sheet import Sheet
from agentainer_tui.widgets.step_list import RowKey
from engine.events import EventType
from tests.tui.driving import dashboard, run_screen, until
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import HELLO
from tests.tui.story import Story, node

AGENT = {
    "env": {"WHO": "{{ $.name }}", "MODE": "fast", "API_TOKEN": "***"},
    "secrets": ["DB_PASSWORD"],
    "limits": {"cpus": 0.5, "memory": 64 << 20},
    "network": "lab",
    "volumes": [{"source": "./data", "target": "/data", "read_only": True, "named": False}],
}
RESULT = {
    "files": ["a.txt", "b.txt"],
    "it's odd": {"a b": [10, {"deep": "treasure"}]},
    "text": "first line\nsecond line",
    "numbers": list(range(5_000)),
}


def inspected() -> Story:
    """A run whose first step has something for every tab."""
    story = Story("cafe0cafe0ca")
    story.create(
        [
            node(
                "make", name="Make it", image="busybox:1", command=["run", "it"], max_attempts=2, agent=AGENT
            ),
            node("use", "make", type="reduce"),
        ],
        state={"name": "Ann", "count": 1, "old": True, "same": [1, 2]},
        metadata={"team": "docs"},
        env_files=["FROM_FILE"],
    )
    story.start().step_start("make")
    for number in (1, 2):
        where = ("make", None, number)
        story.say(
            EventType.ATTEMPT_CREATED, *where, task_id=f"task-make-{number}", agent=f"agent-make-{number}",
            backend="docker", image="busybox:1", log=f"x.{number}.log", env={"WHO": "Ann"},
            pool="warm" if number == 2 else None,
        )  # fmt: skip
        story.tick(0.5).say(
            EventType.ATTEMPT_STARTED, *where, old="pending", status="running", agent_id="c0ffee" * 4,
            image_id="sha256:" + "ab" * 32,
            placement={"mode": "shell", "agent": "warm-1", "uses": 3} if number == 2 else None,
        )  # fmt: skip
        story.tick(1.5)
        end: dict[str, Any] = {"phases": {"queue": 0.1, "start": 0.4, "run": 1.5}}
        if number == 1:
            end |= {"status": "failed", "reason": "oom_killed", "exit_code": 137, "error": "too large"}
        else:
            end |= {"exit_code": 0, "usage": {"cpu_seconds": 1.25, "memory_peak": 3 << 20, "sampled": True}}
        story.attempt_end("make", number, **end)
        if number == 1:
            story.retry("make", 1, error="too large", reason="oom_killed").tick(1).step_start("make")
    story.say(EventType.WARNING, "make", message="it took rather long")
    changes = {"set": {"count": 2, "new": {"x": 1}}, "removed": ["old"]}
    return story.step_end("make", result=RESULT, exit_code=0, changes=changes)


@asynccontextmanager
async def details_of(
    story: Story,
    step: str,
    tab: str,
    *,
    item: int | None = None,
    size: tuple[int, int] = (120, 60),
    **more: Any,
) -> AsyncIterator[tuple[DashboardApp, Pilot[int], DetailsPane]]:
    """The run of a story with a step selected, one of its tabs shown and focused."""
    client = more.pop("client", None) or FakeClient([HELLO], [story])
    async with dashboard(client, size=size, **more) as (app, pilot):
        app.open_run(story.run_id)
        await until(pilot, lambda: run_screen(app).steps.keys)
        screen = run_screen(app)
        if item is not None and RowKey(step, item) not in screen.steps.keys:
            screen.steps.select(RowKey(step))
            screen.steps.toggle()
        screen.steps.select(RowKey(step, item) if item is not None else RowKey(step))
        await until(pilot, lambda: screen.details.selection[0] is not None)
        await pilot.pause()
        screen.details.go(tab)
        screen.details.focus_view()
        await until(pilot, lambda: isinstance(app.focused, Sheet))
        yield app, pilot, screen.details


def row_of(sheet: Sheet, text: str) -> int:
    """The first row of a sheet with a text."""
    tree = sheet.tree_shown
    return next(n for n in range(len(tree)) if text in plain_text(draw(tree.row(n), sheet.glyphs)))


async def on_row(pilot: Pilot[int], sheet: Sheet, text: str) -> None:
    """Move the cursor, by keys, to the first row with a text."""
    await pilot.press("g", *["j"] * row_of(sheet, text))
    assert sheet.cursor_row == row_of(sheet, text)
