"""The area of figures: periods, workflows, reading again, and the way to the runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from textual.pilot import Pilot

from agentainer_tui.app import DashboardApp
from agentainer_tui.screens.history import HistoryScreen
from agentainer_tui.screens.metrics import MetricsScreen
from engine.errors import HistoryError
from engine.facade import Aggregate
from tests.tui.driving import dashboard, on_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import HELLO, failed, finished
from tests.tui.story import EPOCH, Story, node
from tests.unit.test_metrics_page import figures

NOW = (EPOCH + timedelta(hours=2)).timestamp()


def metrics(app: DashboardApp) -> MetricsScreen:
    assert isinstance(app.screen, MetricsScreen), app.screen
    return app.screen


def client() -> FakeClient:
    fake = FakeClient([HELLO], [finished("aa11", 1), failed()])
    fake.insights = {
        None: replace(figures(), workflow=None),
        "hello": replace(figures(by_status={"completed": 5}), workflow="hello"),
        "flow": figures(by_status={"failed": 6}),
    }
    return fake


def asked(fake: FakeClient) -> list[tuple[object, ...]]:
    return [call[1:] for call in fake.calls if call[0] == "figures"]


async def opened(pilot: Pilot[int], app: DashboardApp) -> None:
    await pilot.press("5")
    await until(pilot, lambda: metrics(app).workflows.keys)
    await until_seen(pilot, "All workflows")


async def test_figures_of_all_workflows_come_first_and_their_steps_after() -> None:
    fake = client()
    async with dashboard(fake, size=(200, 60), now=NOW) as (app, pilot):
        await opened(pilot, app)
        await until_seen(pilot, "Slowest steps")
        assert "80 %" in on_screen(app)
        assert "Runs a day" in on_screen(app) and "Duration" in on_screen(app)
        assert [(workflow, details) for workflow, _, details in asked(fake)] == [(None, False), (None, True)]


async def test_the_cursor_chooses_a_workflow() -> None:
    fake = client()
    async with dashboard(fake, size=(120, 40), now=NOW) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("j")
        await until(pilot, lambda: metrics(app).workflows.workflow == "hello")
        await until_seen(pilot, "100 %")
        await until(pilot, lambda: ("hello", True) in [(name, details) for name, _, details in asked(fake)])
        await until_seen(pilot, "Metrics of this home › hello")
        await pilot.press("j")
        await until_seen(pilot, "6 failed")


@pytest.mark.parametrize(("keys", "days"), [(("t",), None), (("left_square_bracket",), 7), (("t", "t"), 1)])
async def test_a_key_chooses_the_period(keys: tuple[str, ...], days: int | None) -> None:
    fake = client()
    async with dashboard(fake, now=NOW) as (app, pilot):
        await opened(pilot, app)
        await pilot.press(*keys)
        since = None if days is None else EPOCH + timedelta(hours=2) - timedelta(days=days)
        await until(pilot, lambda: (None, since, True) in asked(fake))


async def test_a_click_chooses_the_period() -> None:
    fake = client()
    async with dashboard(fake, now=NOW) as (app, pilot):
        await opened(pilot, app)
        await pilot.click("#periods", offset=(2, 0))
        since = EPOCH + timedelta(hours=2) - timedelta(hours=24)
        await until(pilot, lambda: (None, since, True) in asked(fake))


async def test_enter_shows_the_runs_of_the_workflow_in_the_history() -> None:
    async with dashboard(client(), now=NOW) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await until_seen(pilot, "workflow hello")
        await until_seen(pilot, "period 30d")
        await until_seen(pilot, "bad0bad0bad0")
        await pilot.press("5", "k", "v")
        await until_seen(pilot, "workflow all")


async def test_the_end_of_a_run_is_read_again_and_only_while_this_is_seen() -> None:
    fake = client()
    async with dashboard(fake, now=NOW) as (app, pilot):
        await opened(pilot, app)
        await until(pilot, lambda: len(asked(fake)) == 2)
        story = Story("eeee", first_seq=5000).create([node("hi")], workflow="hello").start()
        fake.tell(story)
        await until(pilot, lambda: "eeee" in app.feed.rows)
        assert len(asked(fake)) == 2, "a start changes no figure"
        story.tick(99_999).run_step("hi").finish()
        fake.tell(story)
        await until(pilot, lambda: len(asked(fake)) == 4)
        await pilot.press("1")
        fake.tell(finished("ffff", 9000))
        await until(pilot, lambda: "ffff" in app.feed.rows)
        assert len(asked(fake)) == 4


async def test_a_key_reads_everything_again() -> None:
    fake = client()
    async with dashboard(fake, now=NOW) as (app, pilot):
        await opened(pilot, app)
        await until(pilot, lambda: len(asked(fake)) == 2)
        await pilot.press("f5")
        await until(pilot, lambda: len(asked(fake)) == 4)


async def test_an_empty_period_says_so() -> None:
    fake = client()
    fake.insights = {}
    async with dashboard(fake, now=NOW) as (_, pilot):
        await pilot.press("5")
        await until_seen(pilot, "No runs in the last 30d.")
        await pilot.press("t")
        await until_seen(pilot, "No runs yet.")


async def test_a_history_that_cannot_be_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = client()

    async def broken(*_: object, **__: object) -> None:
        raise HistoryError("the history database cannot be read")

    monkeypatch.setattr(fake, "figures", broken)
    async with dashboard(fake, now=NOW) as (app, pilot):
        await pilot.press("5")
        await until_seen(pilot, "cannot be read")
        assert isinstance(app.screen, MetricsScreen)


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 40), (200, 60), (300, 100)])
async def test_it_fits_every_terminal(size: tuple[int, int]) -> None:
    fake = client()
    fake.insights["[/x]" + "é" * 9000] = Aggregate("[/x]" + "é" * 9000, None, EPOCH, {"completed": 1})
    async with dashboard(fake, size=size, now=NOW) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("tab")
        await until(pilot, lambda: app.focused is metrics(app).figures)
        await pilot.press("G", "pagedown", "g")
        await pilot.resize_terminal(100, 30)
        await until_seen(pilot, "median durat")


async def test_without_colours_outcomes_are_told_apart_by_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with dashboard(client(), size=(200, 60), now=NOW) as (app, pilot):
        await opened(pilot, app)
        await until_seen(pilot, "+ completed")
        chart = on_screen(app).split("Runs a day")[1].split("Success")[0]
        assert "+" in chart and "x" in chart and "█" not in chart
