"""The log, driven as a person would: on a log in memory, and on files of the engine's format."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.events import MouseScrollUp

from agentainer_tui.bridge.logs import FileLog
from agentainer_tui.log_merge import MergedLog
from agentainer_tui.log_source import LogLine
from agentainer_tui.widgets.log_pane import LogPane
from engine.history.log_format import record
from engine.history.log_index import LogIndex
from tests.tui.driving import dashboard, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient, FakeLog
from tests.tui.scenes import HELLO
from tests.tui.story import Story, node


def stamp(number: int) -> str:
    return f"2026-01-01T12:{number // 60:02d}:{number % 60:02d}.000000Z"


def line(number: int, text: str, stream: str = "stdout") -> LogLine:
    return LogLine(stamp(number), stream, text)


def lines(count: int, word: str = "line") -> list[LogLine]:
    return [line(number, f"{word} {number:03d}") for number in range(count)]


def two_steps() -> Story:
    story = Story().create([node("fetch"), node("parse")]).start()
    return story.step_start("fetch").attempt("fetch").step_start("parse").attempt("parse")


def pane_of(app: Any) -> LogPane:
    return run_screen(app).details.log_pane


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_find_marks_counts_and_goes_round(size: tuple[int, int]) -> None:
    story = two_steps()
    client = FakeClient([HELLO], [story])
    client.write_log("fetch", lines(200))
    async with dashboard(client, size=size) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "line 199")
        await pilot.press("tab", "slash", *"ne 05", "enter")
        await until_seen(pilot, "/10")
        await pilot.press("g", "n")
        await until_seen(pilot, "1/10")
        assert "line 050" in on_screen(app)
        await pilot.press("N")
        await until_seen(pilot, "10/10")
        assert "line 059" in on_screen(app)
        await pilot.press("escape")
        await until(pilot, lambda: "10/10" not in on_screen(app))
        assert run_screen(app).details.log_pane.view.query_shown is None, "and the screen stays open"


async def test_a_filter_shows_only_what_matches_with_context_and_also_what_comes_later() -> None:
    story = two_steps()
    client = FakeClient([HELLO], [story])
    client.write_log("fetch", lines(300))
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "line 299")
        await pilot.press("tab", "ampersand", *"line 1.7$", "ctrl+r", "enter")
        await until(pilot, lambda: pane_of(app).view.line_count == 10)
        await until_seen(pilot, "line 197")
        assert "line 196" not in on_screen(app)
        client.write_log("fetch", [line(300, "other"), line(301, "line 107")])
        await until(pilot, lambda: pane_of(app).view.line_count == 11)
        assert "other" not in on_screen(app)
        await pilot.press("ampersand", "ctrl+o", "enter")
        await until_seen(pilot, "other")
        assert "line 198" in on_screen(app)
        await pilot.press("ampersand", "ctrl+n", "ctrl+o", "enter")
        await until(pilot, lambda: pane_of(app).view.lens.search is not None)
        await pilot.press("escape")
        await until(pilot, lambda: pane_of(app).view.line_count == 302)


async def test_a_bad_expression_is_said_and_nothing_breaks() -> None:
    story = two_steps()
    client = FakeClient([HELLO], [story])
    client.write_log("fetch", lines(3))
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "line 002")
        await pilot.press("tab", "slash", "ctrl+r", *"a(")
        await until_seen(pilot, "no regular expression")


async def test_wrap_shows_the_end_of_long_lines_and_loses_no_row() -> None:
    story = two_steps()
    client = FakeClient([HELLO], [story])
    client.write_log("fetch", [line(n, f"{n:02d} " + "x" * 400 + f" end {n:02d}") for n in range(30)])
    async with dashboard(client, size=(80, 24)) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "29 xxx")
        assert "end 29" not in on_screen(app)
        await pilot.press("tab", "w")
        await until_seen(pilot, "end 29")
        view = pane_of(app).view
        seen = set(view.place.rows)
        for _ in range(400):
            view.place.scroll(-1)
            seen |= set(view.place.rows)
        assert seen == {(n, *span) for n in range(30) for span in view.folds(n)}


async def test_times_are_off_relative_or_of_the_day() -> None:
    story = two_steps()
    client = FakeClient([HELLO], [story])
    client.write_log("fetch", lines(90))
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "line 089")
        await pilot.press("t")
        await until_seen(pilot, "+89.000s")
        await pilot.press("t")
        await until_seen(pilot, ":01:29.000")
        await pilot.press("t")
        await until(pilot, lambda: ":01:29.000" not in on_screen(app))


async def test_logs_of_a_run_are_shown_in_the_order_of_time_with_their_names() -> None:
    story = two_steps()
    client = FakeClient([HELLO], [story])
    client.write_log("fetch", [line(0, "one"), line(2, "three")])
    client.write_log("parse", [line(1, "two"), line(3, "four", "stderr")])
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "three")
        await pilot.press("m", "m")
        await until_seen(pilot, "four")
        text = on_screen(app)
        assert text.index("one") < text.index("two") < text.index("three") < text.index("four")
        rows = [row for row in text.splitlines() if "four" in row]
        assert "parse" in rows[0]
        assert "▎" in rows[0], "standard error is marked here too"
        client.write_log("fetch", [line(4, "five")])
        await until_seen(pilot, "five")


async def test_a_line_that_comes_late_into_merged_logs_goes_where_its_time_says() -> None:
    first, second = FakeLog([line(0, "a"), line(5, "c")]), FakeLog([line(1, "b")])
    merged = MergedLog([first, second])
    watching = merged.watch()
    while (await anext(watching)).end < 3:
        pass
    second.write([line(3, "late")])
    extent = await anext(watching)
    while extent.end < 4:
        extent = await anext(watching)
    assert extent.stirred == 2
    assert [each.text for each in (await merged.lines(range(4))).values()] == ["a", "b", "late", "c"]
    first.end()
    second.end()
    assert [extent async for extent in watching][-1].over


@pytest.mark.parametrize("everything", [False, True])
async def test_copies_go_through_the_terminal_and_say_so(everything: bool) -> None:
    story = two_steps()
    client = FakeClient([HELLO], [story])
    client.write_log("fetch", lines(20))
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "line 019")
        await pilot.press("tab", *(["Y"] if everything else ["k", "v", "k", "k", "y"]))
        await until_seen(pilot, "copied to the clipboard")
        wanted = range(20) if everything else range(16, 19)
        assert app.clipboard == "\n".join(f"line {number:03d}" for number in wanted)


async def test_a_drag_of_the_mouse_selects_from_letter_to_letter() -> None:
    story = two_steps()
    client = FakeClient([HELLO], [story])
    client.write_log("fetch", lines(6))
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "line 005")
        gutter = pane_of(app).view.painter.gutter_width
        await pilot.mouse_down("#log-view", offset=(gutter + 5, 1))
        await pilot.hover("#log-view", offset=(gutter + 4, 2))
        await pilot.mouse_up("#log-view", offset=(gutter + 4, 2))
        await pilot.press("y")
        await until_seen(pilot, "2 lines copied")
        assert app.clipboard == "001\nline"


async def test_the_wheel_leaves_the_end_and_the_bar_leads_back() -> None:
    story = two_steps()
    client = FakeClient([HELLO], [story])
    client.write_log("fetch", lines(500))
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "line 499")
        view = pane_of(app).view
        await pilot._post_mouse_events([MouseScrollUp], "#log-view")
        await until(pilot, lambda: not view.following)
        await pilot.click("#log-view", offset=(view.size.width - 1, 0))
        await until_seen(pilot, "line 000")
        await pilot.click("#log-view", offset=(view.size.width - 1, view.size.height - 1))
        await until(pilot, lambda: view.following)


async def test_what_is_on_show_is_exported_and_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    story = two_steps()
    client = FakeClient([HELLO], [story])
    client.write_log("fetch", [*lines(30), line(30, "\x1b[31mred\x1b[0m \x1b[2J")])
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "line 029")
        await pilot.press("tab", "E")
        await until_seen(pilot, "31 lines written")
        await pilot.press("ampersand", *"red", "enter")
        await until(pilot, lambda: pane_of(app).view.line_count == 1)
        await pilot.press("E")
        await until_seen(pilot, "1 line written")
    texts = sorted((path.read_text() for path in tmp_path.iterdir()), key=len)
    assert texts[0] == "red ␛[2J\n"
    assert texts[1].splitlines()[:2] == ["line 000", "line 001"]


async def test_a_file_is_followed_while_it_grows_and_its_end_is_told(tmp_path: Path) -> None:
    path, over = tmp_path / "x.log", asyncio.Event()

    async def until_ended() -> None:
        await over.wait()

    log = FileLog(LogIndex(path), until_ended)
    watching = log.watch()
    assert (await anext(watching)).last == 0
    path.write_bytes(record(stamp(0), "stdout", b"hello"))
    extent = await anext(watching)
    assert (await log.lines(range(extent.first, extent.last)))[extent.first].text == "hello"
    over.set()
    assert [extent.over async for extent in watching] == [True]
    await log.close()
    assert await log.lines(range(9)) == {}
