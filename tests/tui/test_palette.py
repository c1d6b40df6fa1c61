from __future__ import annotations

from typing import Any

import pytest
from textual.fuzzy import FuzzySearch
from textual.pilot import Pilot
from textual.widgets import Input

from agentainer_tui.app import DashboardApp
from agentainer_tui.key_file import parse_keys
from agentainer_tui.palette import Command, find
from agentainer_tui.screens.palette import CommandRows, PaletteScreen, _pieces
from tests.tui.driving import dashboard, home, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import COUNT, HELLO, failed
from tests.tui.test_hostile_text import HOSTILE, hostile_entries, hostile_story


async def open_menu(app: DashboardApp, pilot: Pilot[Any]) -> PaletteScreen:
    await pilot.press("colon")
    await until(pilot, lambda: isinstance(app.screen, PaletteScreen) and app.screen.rows.keys)
    screen = app.screen
    assert isinstance(screen, PaletteScreen)
    return screen


def top_command(app: DashboardApp) -> str:
    command = app.screen.query_one(CommandRows).command
    return command.text if command is not None else ""


def texts(screen: PaletteScreen) -> list[str]:
    return [found.command.text for found in screen.rows._found]


async def test_the_menu_finds_actions_workflows_and_runs() -> None:
    client = FakeClient([COUNT, HELLO], [failed()])
    async with dashboard(client) as (app, pilot):
        menu = await open_menu(app, pilot)
        assert {"Run", "Run hello", "Go to Run", "Quit", "Theme…"} <= set(texts(menu))
        await pilot.press(*"bad0bad")
        await until_seen(pilot, "Open run bad0bad0bad0")
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app).run_id == "bad0bad0bad0")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, PaletteScreen))
        await pilot.press(*"zoom")
        await until_seen(pilot, "Give the focused pane")
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app).has_class("zoom-steps"))


async def test_each_line_shows_its_key_and_its_command_and_copies_that() -> None:
    async with dashboard(FakeClient([HELLO], [failed()])) as (app, pilot):
        await open_menu(app, pilot)
        await pilot.press(*"retry")
        await until_seen(pilot, "$ agentainer retry bad0bad0bad0")
        line = next(line for line in on_screen(app).splitlines() if "▌ Retry" in line)
        assert "R" in line.split()
        await pilot.press("ctrl+y")
        await until(pilot, lambda: app.clipboard == "agentainer retry bad0bad0bad0")


@pytest.mark.parametrize("typed", [":q", "quit", "exit"])
async def test_aliases_lead_where_they_lead_elsewhere(typed: str) -> None:
    async with dashboard(FakeClient([HELLO])) as (app, pilot):
        await open_menu(app, pilot)
        await pilot.press(*(":" if key == ":" else key for key in typed))
        await until(pilot, lambda: top_command(app) == "Quit")
        await pilot.press("enter")
        await until(pilot, lambda: app.return_code == 0)


async def test_a_workflow_is_run_by_a_line_as_in_a_shell() -> None:
    client = FakeClient([COUNT, HELLO])
    async with dashboard(client) as (app, pilot):
        await open_menu(app, pilot)
        await pilot.press(*"run", "space", *"hello", "enter")
        await until(pilot, lambda: ("run", "/w/hello.yaml", {}) in client.calls)
        await until_seen(pilot, "$ agentainer run /w/hello.yaml")


async def test_some_lines_lead_to_a_list_and_escape_leads_back_then_out() -> None:
    client = FakeClient([COUNT, HELLO])
    async with dashboard(client) as (app, pilot):
        menu = await open_menu(app, pilot)
        await pilot.press(*"run", "enter")
        await until(pilot, lambda: texts(menu) == ["Run count", "Run hello"])
        await pilot.press("escape")
        await until(pilot, lambda: "Run a workflow…" in texts(menu))
        await pilot.press("enter")
        await until(pilot, lambda: texts(menu) == ["Run count", "Run hello"])
        await pilot.press("down", "enter")
        await until(pilot, lambda: ("run", "/w/hello.yaml", {}) in client.calls)
        await open_menu(app, pilot)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, PaletteScreen))


async def test_a_theme_is_shown_while_the_cursor_is_on_it_and_kept_only_if_it_is_chosen() -> None:
    async with dashboard(FakeClient([HELLO])) as (app, pilot):
        await open_menu(app, pilot)
        await pilot.press(*"theme", "enter")
        await until_seen(pilot, "gruvbox")
        await pilot.press(*"nord")
        await pilot.press("down", "up")
        await until(pilot, lambda: app.theme == "nord")
        await pilot.press("escape", "escape")
        assert app.theme == "agentainer-dark"
        await open_menu(app, pilot)
        await pilot.press(*"theme", "space", *"nord", "enter")
        await until(pilot, lambda: app.theme == "nord")
        assert app.preferences.theme == "nord"


async def test_a_click_chooses_and_a_click_beside_it_closes() -> None:
    client = FakeClient([COUNT, HELLO])
    async with dashboard(client) as (app, pilot):
        menu = await open_menu(app, pilot)
        await pilot.click(offset=(1, 38))
        await until(pilot, lambda: not isinstance(app.screen, PaletteScreen))
        menu = await open_menu(app, pilot)
        place = texts(menu).index("Run hello")
        menu.rows.scroll_to(y=place, animate=False, force=True)
        await pilot.pause()
        await pilot.click(CommandRows, offset=(5, place - menu.rows.scroll_offset.y))
        await until(pilot, lambda: ("run", "/w/hello.yaml", {}) in client.calls)


async def test_chosen_twice_at_once_it_is_done_once() -> None:
    client = FakeClient([HELLO])
    async with dashboard(client) as (app, pilot):
        await open_menu(app, pilot)
        await pilot.press(*"run", "space", *"hello")
        field = app.screen.query_one(Input)
        for _ in range(2):  # as of a terminal that sends two Enters in one piece
            field.post_message(Input.Submitted(field, field.value))
        await until(pilot, lambda: run_screen(app).run_id == client.started)
        assert [call[0] for call in client.calls].count("run") == 1


async def test_what_cannot_be_done_now_is_not_offered() -> None:
    async with dashboard(FakeClient([HELLO])) as (app, pilot):
        menu = await open_menu(app, pilot)
        assert "Retry" not in texts(menu), "nothing has run yet"
        assert "Run" in texts(menu)


async def test_the_menu_shows_changed_keys() -> None:
    async with dashboard(FakeClient([HELLO])) as (app, pilot):
        app.keys = parse_keys('"home.run" = "ctrl+r"', app.directory)
        await open_menu(app, pilot)
        await pilot.press(*"run the")
        await pilot.press("backspace", "backspace", "backspace", "backspace")
        await until_seen(pilot, "ctrl+r")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_names_are_found_and_drawn_harmlessly(text: str) -> None:
    async with dashboard(FakeClient(hostile_entries(), [hostile_story()])) as (app, pilot):
        menu = await open_menu(app, pilot)
        menu.query_one("Input").value = text  # type: ignore[attr-defined]
        await pilot.pause()
        for _ in range(3):
            await pilot.press("down")
        assert not any(ord(sign) < 0x20 and sign != "\n" for sign in on_screen(app))
        await pilot.press("escape")
        await until(pilot, lambda: home(app))


def test_the_best_match_comes_first_and_hidden_lines_only_when_asked_for() -> None:
    commands = [
        Command("Go to History", "", aliases=("hist",)),
        Command("Theme his", "", hidden=True),
        Command("Quit", "", aliases=("q", "quit")),
    ]
    fuzzy = FuzzySearch()
    assert [one.command.text for one in find(commands, "", fuzzy)] == ["Go to History", "Quit"]
    assert [one.command.text for one in find(commands, " : ", fuzzy)] == ["Go to History", "Quit"]
    assert find(commands, ":hist", fuzzy)[0].command.text == "Go to History"
    assert {one.command.text for one in find(commands, "his", fuzzy)} == {"Go to History", "Theme his"}
    assert find(commands, "zzz", fuzzy) == []


def test_marked_letters_are_drawn_in_runs() -> None:
    assert _pieces("abcd", {1, 2}) == [("a", False), ("bc", True), ("d", False)]
    assert _pieces("", set()) == []
