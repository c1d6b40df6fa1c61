"""Comparing runs from the lists and from a run; the screen's keys."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from agentainer_tui.screens.compare import CompareScreen
from agentainer_tui.widgets.run_list import RunList
from tests.tui.driving import dashboard, home, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import HELLO, failed, finished
from tests.tui.story import Story, node

GOOD, OTHER, BAD = "600d600d600d", "07be07be07be", "bad0bad0bad0"


def client_of() -> FakeClient:
    good = Story(GOOD, first_seq=100).create(
        [node("get"), node("check", "get"), node("send", "get"), node("tell", "send")],
        workflow="hello", params={"to": "[/x]\x1b[31m"},
    )  # fmt: skip
    good.start().run_step("get", 0.5, changes={"set": {"x": 1}}).run_step("check", 0.3)
    good.run_step("send", 3.0).run_step("tell", 0.2).finish()
    return FakeClient([HELLO], [good, finished(OTHER, 300), failed(BAD, 500)])


def compare_screen(pilot: Pilot[int]) -> CompareScreen:
    screen = pilot.app.screen
    assert isinstance(screen, CompareScreen), screen
    return screen


async def compared(pilot: Pilot[int]) -> CompareScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
    await pilot.pause()
    return compare_screen(pilot)


async def test_two_marked_runs_are_compared_the_older_one_first() -> None:
    async with dashboard(client_of()) as (app, pilot):
        await until(pilot, lambda: home(app).runs.keys)
        home(app).runs.focus()
        await pilot.press("space")
        assert home(app).runs.marked == [BAD]
        await pilot.press("down", "down", "space")
        await until(pilot, lambda: on_screen(app).count("■") == 2)
        await pilot.press("equals_sign")
        screen = await compared(pilot)
        assert (screen.comparison.before.id, screen.comparison.after.id) == (GOOD, BAD)
        await until_seen(pilot, "send")
        assert "✗ failed" in on_screen(app) and "✓ completed" in on_screen(app)
        await pilot.press("escape")
        await until(pilot, lambda: home(app).runs.has_focus)


async def test_of_three_marks_the_first_one_goes_and_a_mark_can_be_taken_away() -> None:
    async with dashboard(client_of()) as (app, pilot):
        await until(pilot, lambda: home(app).runs.keys)
        runs: RunList = home(app).runs
        runs.focus()
        await pilot.press("space", "down", "space", "down", "space")
        assert runs.marked == [OTHER, GOOD]
        await pilot.press("space")
        assert runs.marked == [OTHER]


async def test_a_run_is_compared_with_the_last_success_of_its_workflow() -> None:
    async with dashboard(client_of()) as (app, pilot):
        app.open_run(BAD)
        await until_seen(pilot, "refused by the server")
        await pilot.press("equals_sign")
        screen = await compared(pilot)
        assert (screen.comparison.before.id, screen.comparison.after.id) == (OTHER, BAD)
        await pilot.press("escape")
        await until(pilot, lambda: run_screen(app))


async def test_without_an_earlier_run_it_says_what_to_do() -> None:
    async with dashboard(client_of()) as (app, pilot):
        app.open_run(GOOD)
        await until(pilot, lambda: run_screen(app).view is not None)
        await pilot.press("equals_sign")
        await until_seen(pilot, "Mark two runs")


async def open_comparison(pilot: Pilot[int]) -> CompareScreen:
    app = pilot.app
    await until(pilot, lambda: home(app).runs.keys)  # type: ignore[arg-type]
    home(app).runs.marked = [GOOD, BAD]  # type: ignore[arg-type]
    await pilot.press("equals_sign")
    return await compared(pilot)


async def test_n_goes_from_difference_to_difference_and_d_shows_everything() -> None:
    async with dashboard(client_of()) as (_, pilot):
        screen = await open_comparison(pilot)
        only = list(screen.pairs.keys)
        assert only == [row.key for row in screen.comparison.differing] and "step:get" not in only
        await pilot.press("d")
        await until(pilot, lambda: len(screen.pairs.keys) == len(screen.comparison.rows))
        seen = [screen.pairs.key]
        for _ in only[1:]:
            await pilot.press("n")
            seen.append(screen.pairs.key)
        assert seen == only
        await pilot.press("N")
        assert screen.pairs.key == only[-2]
        screen.pairs.select("step:get")
        await until_seen(pilot, "Nothing is different.")
        await pilot.press("d")
        await until(pilot, lambda: list(screen.pairs.keys) == only)


async def test_the_selected_row_tells_what_is_different() -> None:
    async with dashboard(client_of()) as (_, pilot):
        screen = await open_comparison(pilot)
        screen.pairs.select("step:send")
        await until_seen(pilot, '"completed" → "failed"')
        await until_seen(pilot, "refused by the server")
        await pilot.press("enter")
        assert screen.difference.has_focus_within
        await pilot.press("n")  # no search is on: the key of the screen works
        assert screen.pairs.key != "step:send"


async def test_swap_copy_and_opening_either_run() -> None:
    async with dashboard(client_of()) as (app, pilot):
        screen = await open_comparison(pilot)
        await pilot.press("s")
        await until(pilot, lambda: screen.comparison.before.id == BAD and screen.comparison.rows)
        await pilot.press("c")
        await until_seen(pilot, "copied as Markdown")
        assert f"run `{BAD}` and run `{GOOD}`" in app.clipboard
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: run_screen(app).run_id == GOOD)


async def test_documents_are_read_when_they_are_others_and_done_without_when_they_are_gone() -> None:
    client = client_of()
    client.journal = [
        event._replace(data={**event.data, "digest": "e"})
        if event.run_id == BAD and "digest" in event.data
        else event
        for event in client.journal
    ]
    client.documents = {"d": "name: hello\nsteps: []\n", "e": "name: hello\nsteps: [x]\n"}
    async with dashboard(client) as (_, pilot):
        screen = await open_comparison(pilot)
        screen.pairs.select("document")
        await until_seen(pilot, "+steps: [x]")
    client.documents = {}
    async with dashboard(client) as (_, pilot):
        screen = await open_comparison(pilot)
        row = next(row for row in screen.comparison.rows if row.key == "document")
        assert [fact.name for fact in row.differences] == ["digest"]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_it_fits_and_hostile_text_stays_text(size: tuple[int, int]) -> None:
    async with dashboard(client_of(), size=size) as (app, pilot):
        screen = await open_comparison(pilot)
        screen.pairs.select("params")
        await until_seen(pilot, "[/x]␛[31m")
        assert "first" in on_screen(app) and "second" in on_screen(app)
        await pilot.click(screen.pairs, offset=(10, 3))
        await until(pilot, lambda: screen.pairs.has_focus)


async def test_a_run_that_goes_on_is_compared_anew() -> None:
    client = client_of()
    live = (
        Story("11fe11fe11fe", first_seq=900)
        .create([node("get"), node("send", "get")], workflow="hello")
        .start()
    )
    client.journal += live.events
    async with dashboard(client) as (app, pilot):
        await until(pilot, lambda: home(app).runs.keys)
        home(app).runs.marked = [GOOD, live.run_id]
        await pilot.press("equals_sign")
        screen = await compared(pilot)
        assert screen.comparison.after.status == "running"
        client.tell(live.run_step("get").run_step("send").finish())
        await until(pilot, lambda: screen.comparison.after.status == "completed")
