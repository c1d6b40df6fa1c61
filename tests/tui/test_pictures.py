"""Each screen as it looks, at three sizes. A picture that changes is looked at, then taken anew:

    python -m pytest -n 0 tests/tui/test_pictures.py --snapshot-update

What is different is in `snapshot_report.html` after a failure. Everything that moves stands still here: the
clock, the cursor in fields, the zone that times are told in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from agentainer_tui.app import DashboardApp
from agentainer_tui.looks import UNICODE
from agentainer_tui.theme import DARK
from tests.tui.driving import until, until_seen
from tests.tui.fake_client import FakeClient, FakeLog
from tests.tui.scenes import BROKEN, COUNT, HELLO, counting, failed, finished
from tests.tui.story import EPOCH, Story, node
from tests.tui.test_agents_area import busy
from tests.tui.test_failure_screen import bad, good, said
from tests.unit.test_metrics_page import figures

SIZES = [(80, 24), (120, 40), (200, 60)]
COUNTING, FAILED = "a1b2c3d4e5f6", "bad0bad0bad0"

Snap = Callable[..., bool]
Act = Callable[[Pilot[Any]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(params=SIZES, ids=[f"{width}x{height}" for width, height in SIZES])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """A terminal's columns and lines."""
    found: tuple[int, int] = request.param
    return found


def looks(snap: Snap, client: FakeClient, size: tuple[int, int], act: Act, *, at: float = 7200.0) -> bool:
    """Whether the app looks as it did, `at` seconds after the beginning, when something was done."""
    moment = EPOCH.timestamp() + at
    app = DashboardApp(client, Path("/projects/flows"), now=lambda: moment, glyphs=UNICODE, theme=DARK.name)

    async def before(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: app.facts is not None)
        await pilot.pause()
        await act(pilot)
        for field in app.screen.query(Input):
            field.cursor_blink = False
        await settled(pilot)

    return snap(app, terminal_size=size, run_before=before)


async def settled(pilot: Pilot[Any]) -> None:
    """Until nothing on screen has changed for a while."""
    app: Any = pilot.app
    same, last = 0, ""
    async with asyncio.timeout(20):
        while same < 5:
            await pilot.pause(0.05)
            now = app.export_screenshot()
            same, last = (same + 1, now) if now == last else (0, now)


def flows() -> FakeClient:
    """A few workflows, with runs of every kind."""
    stories = [finished("600d600d600d", 1), finished("0123456789ab", 200, "count"), failed(), counting()]
    client = FakeClient([BROKEN, COUNT, HELLO], stories)
    client.logs["send", None, 2] = FakeLog(said("connecting to mail.example:25", "refused by the server"))
    return client


def graph() -> FakeClient:
    """A run of a graph with branches that come together again, in progress."""
    story = Story(COUNTING)
    story.create(
        [
            node("fetch", name="Fetch the pages"),
            node("parse", "fetch", name="Parse"),
            node("embed", "fetch", name="Embed", max_attempts=3),
            node("rank", "parse", name="Rank"),
            node("merge", "rank", "embed", name="Merge"),
            node("report", "merge", name="Write the report"),
        ],
        workflow="count",
    )
    story.start().run_step("fetch", 2.0).step_start("embed").attempt("embed").tick(0.2)
    story.run_step("parse", 1.5)
    story.attempt_end("embed", status="failed", reason="task_failed", exit_code=1, error="no model")
    story.retry("embed", 5.0, error="no model").step_start("rank").attempt("rank").tick(2.0)
    return FakeClient([COUNT], [story])


def test_workflows(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        await pilot.press("j")
        await until_seen(pilot, "completed")

    assert looks(snap_compare, flows(), size, act)


def test_a_file_with_an_error(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        await until_seen(pilot, "did you mean")

    assert looks(snap_compare, flows(), size, act)


def test_a_run_in_progress(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        app.open_run(COUNTING)
        await until_seen(pilot, "Count words")

    assert looks(snap_compare, flows(), size, act, at=4.0)


def test_lanes_of_a_graph(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        app.open_run(COUNTING)
        await until_seen(pilot, "Fetch the pages")
        await pilot.press("z")

    assert looks(snap_compare, graph(), size, act, at=5.7)


def test_boxes_and_arrows(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        app.open_run(COUNTING)
        await until_seen(pilot, "Fetch the pages")
        await pilot.press("z", "v")

    assert looks(snap_compare, graph(), size, act, at=5.7)


def test_a_failed_run_and_its_output(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        app.open_run(FAILED)
        await until_seen(pilot, "step `send` failed")
        await pilot.press("right_square_bracket")
        await until_seen(pilot, "refused by the server")

    assert looks(snap_compare, flows(), size, act)


def test_a_moment_of_the_past(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        app.open_run(FAILED)
        await until_seen(pilot, "step `send` failed")
        await pilot.press("less_than_sign", "less_than_sign", "less_than_sign")
        await until_seen(pilot, "esc live")

    assert looks(snap_compare, flows(), size, act)


def test_why_it_failed(snap_compare: Snap, size: tuple[int, int]) -> None:
    client = FakeClient([HELLO, COUNT], [good(), bad()])
    client.logs["map", 1, 1] = FakeLog(said("connecting…", "cannot reach 10.0.0.1", "giving up"))

    async def act(pilot: Pilot[Any]) -> None:
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "Why")

    assert looks(snap_compare, client, size, act)


def test_a_retry_with_what_becomes_of_each_step(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        app.open_run(FAILED)
        await until_seen(pilot, "step `send` failed")
        await pilot.press("R")
        await until(pilot, lambda: app.screen.query("#scope"))

    assert looks(snap_compare, flows(), size, act)


def test_params_of_a_run(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        await pilot.press("j", "r")
        await until_seen(pilot, "Run count")

    assert looks(snap_compare, flows(), size, act)


def test_history(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        await pilot.press("3")
        await until_seen(pilot, "✓ completed")

    assert looks(snap_compare, flows(), size, act)


def test_agents(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        await pilot.press("4")
        await until_seen(pilot, "Orphans")

    assert looks(snap_compare, busy(), size, act)


def test_metrics(snap_compare: Snap, size: tuple[int, int]) -> None:
    client = flows()
    client.insights = {None: replace(figures(), workflow=None), "hello": replace(figures(), workflow="hello")}

    async def act(pilot: Pilot[Any]) -> None:
        await pilot.press("5")
        await until_seen(pilot, "Runs a day")

    assert looks(snap_compare, client, size, act)


def test_two_runs_side_by_side(snap_compare: Snap, size: tuple[int, int]) -> None:
    other = Story("600d600d600d").create(
        [node("get"), node("check", "get"), node("send", "get"), node("tell", "send")],
        workflow="hello",
        params={"to": "all"},
    )
    other.start().run_step("get", 0.5).run_step("check", 0.3).run_step("send", 1.5).run_step("tell").finish()

    async def act(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        app.open_run(FAILED)
        await until_seen(pilot, "step `send` failed")
        await pilot.press("equals_sign")
        await until_seen(pilot, "Side by side")

    assert looks(snap_compare, FakeClient([HELLO], [other, failed()]), size, act)


def test_help(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        await pilot.press("question_mark")
        await until_seen(pilot, "esc closes")

    assert looks(snap_compare, flows(), size, act)


def test_the_menu(snap_compare: Snap, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        await pilot.press("colon", *"run")
        await until_seen(pilot, "Run count")

    assert looks(snap_compare, flows(), size, act)
