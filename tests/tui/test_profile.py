"""The profile of a run: tabs, tasks with their samples, a run in progress, export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from agentainer_tui.app import DashboardApp
from agentainer_tui.screens.profile import ProfileScreen
from tests.profiles import live_profile, profile
from tests.tui.driving import dashboard, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import HELLO, failed, finished
from tests.tui.story import EPOCH, Story, node

NOW = (EPOCH + timedelta(hours=2)).timestamp()
RUN = "bad0bad0bad0"


@pytest.fixture
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def client() -> FakeClient:
    fake = FakeClient([HELLO], [finished("aa11", 1), failed()])
    fake.profiles = {RUN: profile()}
    return fake


def shown(app: DashboardApp) -> ProfileScreen:
    assert isinstance(app.screen, ProfileScreen), app.screen
    return app.screen


async def opened(pilot: Pilot[int], app: DashboardApp) -> None:
    app.open_run(RUN)
    await until(pilot, lambda: run_screen(app).view is not None)
    await pilot.press("P")
    await until_seen(pilot, "Where the time went")


async def test_the_profile_opens_from_a_run_and_leads_back() -> None:
    async with dashboard(client(), now=NOW) as (app, pilot):
        await opened(pilot, app)
        await until_seen(pilot, f"$ agentainer profile {RUN}")
        await until_seen(pilot, "Tasks at a time")
        await pilot.press("escape")
        await until(pilot, lambda: run_screen(app).run_id == RUN)


async def test_the_profile_opens_from_the_history() -> None:
    async with dashboard(client(), now=NOW) as (app, pilot):
        await pilot.press("3")
        await until_seen(pilot, "step `send` failed")
        await pilot.press("P")
        await until_seen(pilot, "Where the time went")
        assert shown(app).run_id == RUN


async def test_tabs_by_key_and_by_click() -> None:
    async with dashboard(client(), size=(120, 40), now=NOW) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("right_square_bracket")
        await until_seen(pilot, "each began when the one before had ended")
        await pilot.press("right_square_bracket")
        await until_seen(pilot, "Slowest steps")
        await pilot.press("left_square_bracket")
        await until_seen(pilot, "Critical path")
        await pilot.click("#tabs", offset=(2, 0))
        await until_seen(pilot, "Where the time went")


async def test_tasks_show_what_their_containers_used() -> None:
    async with dashboard(client(), size=(120, 40), now=NOW) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("left_square_bracket")
        await until_seen(pilot, "ITS PARTS")
        await until_seen(pilot, "CPU  cores")
        assert app.focused is shown(app).tasks
        await pilot.press("j", "j")
        await until_seen(pilot, "enable_profiling: true")
        assert "load[0]" in on_screen(app)


async def test_enter_on_a_task_opens_its_step() -> None:
    fake = client()
    fake.profiles = {RUN: live_profile()}
    async with dashboard(fake, now=NOW) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: shown(app).tasks.keys)
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app))


async def test_a_run_in_progress_is_read_again_and_its_end_at_once() -> None:
    story = Story("cafe", first_seq=9000).create([node("get")], workflow="hello").start()
    fake = FakeClient([HELLO], [story])
    fake.profiles = {"cafe": live_profile()}
    async with dashboard(fake, now=NOW) as (app, pilot):
        app.open_run("cafe")
        await until(pilot, lambda: run_screen(app).view is not None)
        await pilot.press("P")
        await until_seen(pilot, "so far")
        fake.profiles = {"cafe": profile()}
        story.run_step("get").finish()
        fake.tell(story)
        await until(pilot, lambda: "so far" not in on_screen(app))
        asked = sum(call[0] == "profile" for call in fake.calls)
        fake.tell(finished("dddd", 9900))
        await until(pilot, lambda: "dddd" in app.feed.rows)
        assert sum(call[0] == "profile" for call in fake.calls) == asked, "what is over does not change"


async def test_a_profile_is_written_for_another_program(working_directory: Path) -> None:
    async with dashboard(client(), now=NOW) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("E")
        await until_seen(pilot, "nightly-etl-")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: list(working_directory.iterdir()))
        await until_seen(pilot, "--trace nightly")
        (path,) = working_directory.iterdir()
        assert path.name.endswith(".trace.json")
        assert json.loads(path.read_text())["traceEvents"]
        assert f"--trace {path.name}" in on_screen(app)
        await pilot.press("E")
        await until_seen(pilot, "speedscope")
        await pilot.press("down", "enter", "enter")
        await until(pilot, lambda: len(list(working_directory.iterdir())) == 2)
        assert any(other.name.endswith(".speedscope.json") for other in working_directory.iterdir())


async def test_a_file_that_is_there_is_only_replaced_when_asked(working_directory: Path) -> None:
    working_directory.joinpath("mine.json").write_text("precious")
    async with dashboard(client(), now=NOW) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("E", "enter")
        app.screen.query_one("#name", Input).value = "mine.json"
        await pilot.press("enter")
        await until_seen(pilot, "Replace the file?")
        await pilot.press("enter")
        await until_seen(pilot, "stays as it was")
        assert working_directory.joinpath("mine.json").read_text() == "precious"
        await pilot.press("E", "enter")
        app.screen.query_one("#name", Input).value = "mine.json"
        await pilot.press("enter")
        await until_seen(pilot, "Replace the file?")
        await pilot.press("right", "enter")
        await until(pilot, lambda: working_directory.joinpath("mine.json").read_text() != "precious")


async def test_a_name_that_leads_elsewhere_is_refused(working_directory: Path) -> None:
    async with dashboard(client(), now=NOW) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("E", "enter")
        app.screen.query_one("#name", Input).value = "../elsewhere.json"
        await pilot.press("enter")
        await until_seen(pilot, "only a name")
        await pilot.press("escape")
        await until(pilot, lambda: shown(app))
        assert not list(working_directory.iterdir())


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_it_fits_every_terminal(size: tuple[int, int]) -> None:
    async with dashboard(client(), size=size, now=NOW) as (app, pilot):
        await opened(pilot, app)
        for _ in range(4):
            await pilot.press("right_square_bracket", "G", "g")
        await pilot.resize_terminal(100, 30)
        await until_seen(pilot, "Where the time went")
