from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from agentainer_tui.app import DashboardApp
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.list_filter import ListFilter, list_query
from agentainer_tui.widgets.row_list import RowList
from engine.errors import UsageError
from tests.tui.driving import dashboard, on_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.test_hostile_text import HOSTILE


class Names(RowList):
    def draw_row(self, place: int, width: int) -> Row:
        return self.mark(place).gap().cell(str(self.keys[place]), width - 3, self.ink("text"))


class NamesScreen(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "back", "Back")]

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names
        self.left = 0

    def compose(self) -> ComposeResult:
        yield Names(id="names", empty=("No names.",))
        yield ListFilter("names")

    def on_mount(self) -> None:
        self.show()
        self.query_one(Names).focus()

    @on(ListFilter.Changed, "#filter-names")
    def show(self) -> None:
        self.query_one(Names).set_keys(self.query_one(ListFilter).keep(self.names, str))

    def action_back(self) -> None:
        self.left += 1


NAMES = ["apple", "Apricot", "banana", "cherry", "date"]


@asynccontextmanager
async def names_screen(names: list[str]) -> AsyncIterator[tuple[DashboardApp, Pilot[int], NamesScreen]]:
    async with dashboard(FakeClient(), size=(60, 15)) as (app, pilot):
        screen = NamesScreen(names)
        await app.push_screen(screen)
        await until(pilot, lambda: screen.query_one(Names).keys == names)
        yield app, pilot, screen


async def test_rows_go_while_a_filter_is_typed_and_come_back_with_escape() -> None:
    async with names_screen(NAMES) as (_, pilot, screen):
        await pilot.press("slash", "a", "p")
        await until(pilot, lambda: screen.query_one(Names).keys == ["apple", "Apricot"])
        await until_seen(pilot, "2 of 5")
        await pilot.press("escape")
        await until(pilot, lambda: screen.query_one(Names).keys == NAMES)
        assert screen.query_one(Names).has_focus
        assert not screen.query_one(ListFilter).display


@pytest.mark.parametrize("key", ["enter", "down", "tab"])
async def test_a_filter_stays_when_the_list_is_gone_on_with_and_escape_there_takes_it_away(key: str) -> None:
    async with names_screen(NAMES) as (_, pilot, screen):
        await pilot.press("slash", "a", "p", key)
        await until(pilot, lambda: screen.query_one(Names).has_focus)
        assert screen.query_one(Names).keys == ["apple", "Apricot"]
        await pilot.press("escape")
        await until(pilot, lambda: screen.query_one(Names).keys == NAMES)
        assert screen.left == 0, "the first escape is for the filter"
        await pilot.press("escape")
        assert screen.left == 1


async def test_an_exclamation_mark_keeps_what_does_not_match() -> None:
    async with names_screen(NAMES) as (_, pilot, screen):
        await pilot.press("slash", "exclamation_mark", "a")
        await until(pilot, lambda: screen.query_one(Names).keys == ["cherry"])


async def test_half_a_regular_expression_changes_nothing_until_it_is_whole() -> None:
    async with names_screen(NAMES) as (_, pilot, screen):
        await pilot.press("slash", "ctrl+r", *"^a")
        await until(pilot, lambda: screen.query_one(Names).keys == ["apple", "Apricot"])
        await pilot.press("left_parenthesis")
        await until_seen(pilot, "no regular expression")
        assert screen.query_one(Names).keys == ["apple", "Apricot"]
        await pilot.press(*"pp", "right_parenthesis")
        await until(pilot, lambda: screen.query_one(Names).keys == ["apple"])
        await pilot.click("#filter-regex")
        await until(pilot, lambda: screen.query_one(Names).keys == [])
        await until_seen(pilot, "Nothing matches ^a(pp)")


async def test_a_list_without_a_filter_leaves_its_keys_to_others() -> None:
    async with names_screen(NAMES) as (_, pilot, screen):
        screen.query_one(Names).filter_bar = None
        await pilot.press("slash", "escape")
        assert screen.left == 1
        assert not screen.query_one(ListFilter).display


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_text_can_be_filtered_and_looked_for(text: str) -> None:
    async with names_screen([text, "plain"]) as (app, pilot, screen):
        bar = screen.query_one(ListFilter)
        bar.open("plain")
        await until(pilot, lambda: screen.query_one(Names).keys == ["plain"])
        bar.query_one(Input).value = text  # as if it was pasted
        await until(pilot, lambda: screen.query_one(Names).keys == [text])
        assert not any(ord(sign) < 0x20 and sign != "\n" for sign in on_screen(app))


def test_what_is_typed_becomes_a_query() -> None:
    assert list_query("") is None
    assert list_query("!") is None, "half a filter hides nothing"
    plain = list_query("a.c")
    assert plain is not None
    assert plain.matches("xA.Cx")
    assert not plain.matches("abc")
    regex = list_query("!a.c", regex=True)
    assert regex is not None
    assert not regex.matches("abc")
    assert regex.matches("xyz")
    with pytest.raises(UsageError):
        list_query("(", regex=True)
