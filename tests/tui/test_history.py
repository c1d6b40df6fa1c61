"""The area of all runs: filters, marks, live runs, retry, delete, from the keyboard and with the mouse."""

from __future__ import annotations

from datetime import timedelta

import pytest
from textual.pilot import Pilot

from agentainer_tui.app import DashboardApp
from agentainer_tui.history_pages import PAGE
from agentainer_tui.screens.forget import ForgetDialog
from agentainer_tui.screens.history import HistoryScreen
from agentainer_tui.screens.retry import RetryDialog
from engine.errors import UsageError
from tests.tui.driving import dashboard, on_screen, run_screen, top, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import COUNT, HELLO, counting, failed, finished
from tests.tui.story import EPOCH, Story, node

NOW = (EPOCH + timedelta(hours=2)).timestamp()


def history(app: DashboardApp) -> HistoryScreen:
    assert isinstance(app.screen, HistoryScreen), app.screen
    return app.screen


def keys(app: DashboardApp) -> list[str]:
    return [str(key) for key in history(app).history.keys]


def retry_of(run_id: str, other: str, first_seq: int, **data: str) -> Story:
    story = Story(run_id, first_seq=first_seq)
    story.create([node("get")], workflow="hello", retry_of=other, **data)
    return story.start().run_step("get", 0.2).finish()


async def opened(pilot: Pilot[int], app: DashboardApp, count: int) -> None:
    await pilot.press("3")
    await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and len(keys(app)) == count)


SCENE = (finished("aa11", 1), failed(), counting())


async def test_all_runs_are_listed_newest_first() -> None:
    async with dashboard(FakeClient([COUNT, HELLO], SCENE), now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        assert keys(app) == ["a1b2c3d4e5f6", "bad0bad0bad0", "aa11"]
        await until_seen(pilot, "step `send` failed")
        await until_seen(pilot, "3 runs")
        await pilot.press("j")
        await until_seen(pilot, "error: step `send` failed")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_it_fits_every_terminal(size: tuple[int, int]) -> None:
    async with dashboard(FakeClient([HELLO], SCENE), size=size, now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await until_seen(pilot, "STATUS")
        assert all(len(line.rstrip()) <= size[0] for line in on_screen(app).splitlines())
        assert ("PARAMS" in on_screen(app)) == (size[0] == 200)


async def test_filters_combine_and_escape_takes_them_away() -> None:
    async with dashboard(FakeClient([HELLO], SCENE), now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await pilot.press("f")
        await until(pilot, lambda: keys(app) == ["bad0bad0bad0"])
        await pilot.press("slash", *"zzz")
        await until_seen(pilot, "Nothing matches zzz")
        await pilot.press("escape")
        await until(pilot, lambda: keys(app) == ["bad0bad0bad0"])
        await pilot.press("escape")
        await until(pilot, lambda: len(keys(app)) == 3)


async def test_text_is_asked_of_the_history_itself() -> None:
    client = FakeClient([HELLO], SCENE)
    async with dashboard(client, now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await pilot.press("slash", *"whales", "enter")
        await until(pilot, lambda: keys(app) == ["a1b2c3d4e5f6"])
        assert client.calls[-1][1].text == "whales"
        assert app.focused is history(app).history


async def test_status_workflow_and_period_each_have_a_key() -> None:
    client = FakeClient([HELLO], SCENE)
    async with dashboard(client, now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await pilot.press("j", "w")
        await until(pilot, lambda: keys(app) == ["bad0bad0bad0", "aa11"])
        await pilot.press("s", "s", "s")
        await until(pilot, lambda: keys(app) == ["aa11"])
        await until_seen(pilot, "status completed")
        await pilot.press("t")
        await until_seen(pilot, "period 24h")
        assert keys(app) == ["aa11"]
        await pilot.press("escape")
        await until(pilot, lambda: len(keys(app)) == 3)


async def test_a_click_on_a_choice_is_its_key() -> None:
    async with dashboard(FakeClient([HELLO], SCENE), now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await pilot.click("#choices", offset=(2, 0))
        await until_seen(pilot, "status failures")
        await until(pilot, lambda: keys(app) == ["bad0bad0bad0"])


async def test_parts_of_other_runs_are_hidden_until_asked_for() -> None:
    parent = Story("aaaa", first_seq=1).create([node("inner")], workflow="outer").start()
    part = Story("bbbb", first_seq=50)
    part.create([node("get")], workflow="inner", parent={"run_id": "aaaa", "step_id": "inner", "attempt": 1})
    part.start().run_step("get").finish()
    async with dashboard(FakeClient([HELLO], [parent, part]), now=NOW) as (app, pilot):
        await opened(pilot, app, 1)
        await pilot.press("c")
        await until(pilot, lambda: keys(app) == ["bbbb", "aaaa"])
        await until_seen(pilot, "└ aaaa")
        await pilot.press("c")
        await until(pilot, lambda: keys(app) == ["aaaa"])


async def test_a_retried_failure_says_by_what_and_how_that_went() -> None:
    client = FakeClient([HELLO], [failed(), retry_of("cc22", "bad0bad0bad0", 900)])
    async with dashboard(client, now=NOW) as (app, pilot):
        await opened(pilot, app, 2)
        await until_seen(pilot, "→ ✓ cc22")
        await until_seen(pilot, "↻ bad0ba")
        await pilot.press("j")
        await until_seen(pilot, "retried by run cc22: completed")


async def test_enter_opens_a_run_and_escape_comes_back() -> None:
    async with dashboard(FakeClient([HELLO], SCENE), now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await pilot.press("j", "enter")
        await until(pilot, lambda: run_screen(app).run_id == "bad0bad0bad0")
        await pilot.press("escape")
        await until(pilot, lambda: history(app).history.key == "bad0bad0bad0")


async def test_retry_and_cancel_act_on_the_run_under_the_cursor() -> None:
    client = FakeClient([HELLO], SCENE)
    async with dashboard(client, now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await pilot.press("x")
        await until_seen(pilot, "Keep running")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await pilot.press("j", "R")
        await until(pilot, lambda: isinstance(top(app), RetryDialog))
        await until_seen(pilot, "bad0ba")


async def test_a_new_run_comes_on_top_and_the_cursor_stays_on_its_run() -> None:
    client = FakeClient([HELLO], SCENE)
    async with dashboard(client, now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await pilot.press("j")
        story = Story("eeee", first_seq=5000).create([node("hi")], workflow="hello").start()
        client.tell(story)
        await until(pilot, lambda: keys(app)[0] == "eeee")
        assert history(app).history.key == "bad0bad0bad0"
        story.run_step("hi").finish()
        client.tell(story)
        await until(pilot, lambda: "running" not in on_screen(app).split("eeee")[0].splitlines()[-1])
        await pilot.press("g")
        await until_seen(pilot, "✓ completed · run eeee")


async def test_who_is_at_the_top_sees_new_runs_and_who_is_not_is_told() -> None:
    client = FakeClient([HELLO], [finished(f"r{number:03}", 10 * number + 1) for number in range(40)])
    async with dashboard(client, size=(80, 24), now=NOW) as (app, pilot):
        await opened(pilot, app, 40)
        client.tell(finished("eeee", 5000))
        await until_seen(pilot, "eeee")
        assert history(app).history.key == "r039"
        await pilot.press("pagedown", "pagedown")
        seen = history(app).history.key
        client.tell(finished("ffff", 6000))
        await until_seen(pilot, "1 newer")
        assert history(app).history.key == seen
        await pilot.press("g")
        await until(pilot, lambda: "newer" not in on_screen(app))
        await until_seen(pilot, "ffff")


async def test_a_run_in_progress_moves_on_in_its_row() -> None:
    story = counting()
    client = FakeClient([HELLO], [story])
    async with dashboard(client, now=NOW) as (app, pilot):
        await opened(pilot, app, 1)
        await until_seen(pilot, "1/3")
        story.step_end("count")
        client.tell(story)
        await until_seen(pilot, "2/3")


async def test_nothing_is_read_while_another_area_is_seen() -> None:
    client = FakeClient([HELLO], SCENE)
    async with dashboard(client, now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await pilot.press("1")
        asked = sum(call[0] == "list_runs" for call in client.calls)
        client.tell(finished("dddd", 7000))
        await until_seen(pilot, "hello completed")
        assert sum(call[0] == "list_runs" for call in client.calls) == asked
        await pilot.press("3")
        await until(pilot, lambda: keys(app)[0] == "dddd")


async def test_older_runs_are_read_as_the_cursor_goes_down() -> None:
    stories = [finished(f"r{number:04}", 10 * number + 1) for number in range(PAGE + 50)]
    client = FakeClient([HELLO], stories)
    async with dashboard(client, now=NOW) as (app, pilot):
        await opened(pilot, app, PAGE)
        asked = [call for call in client.calls if call[0] == "list_runs"]
        assert len(asked) == 1 and asked[0][2] == PAGE
        await pilot.press("G")
        await until(pilot, lambda: len(keys(app)) == PAGE + 50)
        await until_seen(pilot, "150 runs")


async def test_marked_runs_are_deleted_after_a_list_of_exactly_those() -> None:
    client = FakeClient([HELLO], SCENE)
    client.sizes = {"aa11": 5 << 20}
    async with dashboard(client, now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await pilot.press("j", "space", "space")
        await until_seen(pilot, "2 marked")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(top(app), ForgetDialog))
        await until_seen(pilot, "Delete 2 runs?")
        await until_seen(pilot, ", 5.0 MiB")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        assert not client.deleted, "Cancel is what Enter means"
        await pilot.press("D")
        await until(pilot, lambda: isinstance(top(app), ForgetDialog))
        await pilot.press("right", "enter")
        await until(pilot, lambda: keys(app) == ["a1b2c3d4e5f6"])
        assert client.deleted == {"aa11", "bad0bad0bad0"}
        assert not history(app).history.marked
        await pilot.press("1")
        await until(pilot, lambda: "bad0" not in on_screen(app))


async def test_a_run_in_progress_is_never_deleted() -> None:
    client = FakeClient([HELLO], SCENE)
    async with dashboard(client, now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await pilot.press("D")
        await until_seen(pilot, "Only runs that are over can be deleted")
        await pilot.press("space", "space", "D")
        await until_seen(pilot, "1 marked run in progress or part of another stay")
        await pilot.press("right", "enter")
        await until(pilot, lambda: client.deleted == {"bad0bad0bad0"})


async def test_what_the_engine_refuses_to_delete_stays_and_is_said() -> None:
    client = FakeClient([HELLO], SCENE)
    async with dashboard(client, now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        client.refuse = UsageError("run bad0bad0bad0 still has 1 kept agents")
        await pilot.press("j", "space", "space", "D")
        await until(pilot, lambda: isinstance(top(app), ForgetDialog))
        await pilot.press("right", "enter")
        await until_seen(pilot, "still has 1 kept agents")
        await until(pilot, lambda: keys(app) == ["a1b2c3d4e5f6", "bad0bad0bad0"])


async def test_the_id_is_copied() -> None:
    async with dashboard(FakeClient([HELLO], SCENE), now=NOW) as (app, pilot):
        await opened(pilot, app, 3)
        await pilot.press("y")
        await until_seen(pilot, "a1b2c3d4e5f6 copied")
        assert app.clipboard == "a1b2c3d4e5f6"


async def test_an_empty_home_says_what_to_do() -> None:
    async with dashboard(FakeClient([HELLO]), now=NOW) as (_, pilot):
        await pilot.press("3")
        await until_seen(pilot, "No runs yet.")
        await pilot.press("f")
        await until_seen(pilot, "No run fits.")


async def test_hostile_names_errors_and_params_are_shown_as_they_are() -> None:
    story = Story("dead", first_seq=1)
    story.create([node("x")], workflow="[red]boom[/x] \x1b[31m" + "w" * 10_000, params={"[/]": "[b]\n" * 99})
    story.start().finish("failed", error="[/x] \u202e evil \x1b]0;title\x07" * 300)
    for size in ((80, 24), (200, 60)):
        async with dashboard(FakeClient([HELLO], [story]), size=size, now=NOW) as (app, pilot):
            await opened(pilot, app, 1)
            await until_seen(pilot, "[red]boom[/x]")
            assert "\x1b" not in on_screen(app) and "\u202e" not in on_screen(app)
            await pilot.press("D")
            await until_seen(pilot, "Delete 1 run?")
