"""The tabs of the details pane: what can be done in them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from agentainer_tui.widgets.step_list import RowKey
from tests.tui.driving import on_screen, run_screen, until, until_seen
from tests.tui.inspecting import details_of, inspected, on_row, row_of
from tests.tui.story import Story, node


async def test_values_and_paths_are_copied_from_the_row_under_the_cursor(copies: list[str]) -> None:
    async with details_of(inspected(), "make", "output") as (_, pilot, details):
        await until_seen(pilot, "deep")
        sheet = details.sheet_pane.sheet
        await on_row(pilot, sheet, "deep:")
        await until_seen(pilot, "$.steps.make.result['it\\'s odd']['a b'][1].deep")
        await pilot.press("y", "Y")
        await until(pilot, lambda: len(copies) == 2)
        assert sorted(copies) == ["$.steps.make.result['it\\'s odd']['a b'][1].deep", "treasure"]
        await on_row(pilot, sheet, "files")
        await pilot.press("y")
        await until(pilot, lambda: len(copies) == 3)
        assert copies[-1] == '[\n  "a.txt",\n  "b.txt"\n]'
        await on_row(pilot, sheet, "status")
        await pilot.press("y")
        await until(pilot, lambda: len(copies) == 4)
        assert copies[-1] == "completed"


async def test_a_search_opens_what_it_finds_and_goes_round() -> None:
    async with details_of(inspected(), "make", "output") as (app, pilot, details):
        await until_seen(pilot, "numbers: [5,000]")
        sheet = details.sheet_pane.sheet
        assert sheet.tree_shown.row(len(sheet.tree_shown) - 1).entry.part == "numbers"
        await pilot.press("slash", *"444")
        await until_seen(pilot, "1/14")
        await pilot.press("enter")
        await until(pilot, lambda: app.focused is sheet)
        await until_seen(pilot, "444: 444")
        await until_seen(pilot, "$.steps.make.result.numbers[444]")
        await pilot.press("n")
        await until_seen(pilot, "2/14")
        await until_seen(pilot, "1444: 1444")
        await pilot.press("N", "N")
        await until_seen(pilot, "14/14")
        await pilot.press("escape")
        await until(pilot, lambda: "14/14" not in on_screen(app))
        assert run_screen(app).details.tab == "output", "escape took the search away, not the screen"


async def test_a_search_takes_regular_expressions_and_says_what_is_wrong_with_them() -> None:
    async with details_of(inspected(), "make", "output") as (_, pilot, details):
        await until_seen(pilot, "numbers: [5,000]")
        await pilot.press("slash", "ctrl+r", *"^tr.*e$")
        await until_seen(pilot, "1/1")
        await pilot.press("enter")
        spot = details.sheet_pane.sheet.spot
        assert spot is not None
        assert spot.entry.value == "treasure"
        await pilot.press("slash", "(")
        await until_seen(pilot, "is no regular expression")


async def test_events_are_filtered() -> None:
    async with details_of(inspected(), "make", "events") as (app, pilot, _):
        await until_seen(pilot, "step.finished")
        await pilot.press("ampersand", *"oom")
        await until_seen(pilot, "only 'oom': 2 of")
        await until(pilot, lambda: "attempt.created" not in on_screen(app))
        assert "step.retrying" in on_screen(app)
        await pilot.press("escape")
        await until_seen(pilot, "attempt.created")


async def test_everything_opens_and_closes_with_one_key_each() -> None:
    async with details_of(inspected(), "make", "output") as (app, pilot, details):
        await until_seen(pilot, "numbers: [5,000]")
        sheet = details.sheet_pane.sheet
        await on_row(pilot, sheet, "deep")
        await pilot.press("C")
        await until(pilot, lambda: "treasure" not in on_screen(app))
        spot = sheet.spot
        assert spot is not None
        assert spot.entry.label == "Result"
        await pilot.press("E")
        await until_seen(pilot, "treasure")


async def test_left_and_right_go_out_of_a_value_and_into_it() -> None:
    async with details_of(inspected(), "make", "output") as (app, pilot, details):
        await until_seen(pilot, "treasure")
        sheet = details.sheet_pane.sheet
        await on_row(pilot, sheet, "a.txt")
        await pilot.press("h")
        spot = sheet.spot
        assert spot is not None
        assert spot.entry.part == "files"
        await pilot.press("h")
        await until(pilot, lambda: "▸ files: [2]" in on_screen(app))
        await pilot.press("l", "l")
        await until(pilot, lambda: sheet.spot is not None and sheet.spot.entry.value == "a.txt")


async def test_a_click_on_the_sign_or_a_double_click_opens_and_closes() -> None:
    async with details_of(inspected(), "make", "output") as (app, pilot, details):
        await until_seen(pilot, "treasure")
        sheet = details.sheet_pane.sheet
        row = row_of(sheet, "files")
        await pilot.click(sheet, offset=(4, row))
        await until_seen(pilot, "▸ files: [2]")
        await pilot.click(sheet, offset=(20, row))
        assert sheet.cursor_row == row
        assert "▸ files: [2]" in on_screen(app), "one click elsewhere only selects"
        await pilot.click(sheet, offset=(20, row), times=2)
        await until_seen(pilot, "▾ files: [2]")


async def test_all_of_a_tab_is_opened_in_the_pager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def view_file(app: Any, path: Path, *, edit: bool) -> None:
        seen.append(path.read_text())

    monkeypatch.setattr("agentainer_tui.widgets.sheet_pane.view_file", view_file)
    async with details_of(inspected(), "make", "output") as (_, pilot, _):
        await until_seen(pilot, "numbers: [5,000]")
        await pilot.press("o")
        await until(pilot, lambda: seen)
        assert '"deep": "treasure"' in seen[0]
        assert "4999" in seen[0], "what is folded on screen is there too"


async def test_the_selection_takes_its_search_along_nowhere() -> None:
    async with details_of(inspected(), "make", "output") as (app, pilot, _):
        await until_seen(pilot, "numbers: [5,000]")
        await pilot.press("slash", *"44", "enter")
        await until_seen(pilot, "'44'")
        run_screen(app).steps.select(RowKey("use"))
        await until(pilot, lambda: "'44'" not in on_screen(app))


async def test_a_resize_folds_anew_and_keeps_the_cursor_on_its_row() -> None:
    async with details_of(inspected(), "make", "output") as (_, pilot, details):
        await until_seen(pilot, "treasure")
        sheet = details.sheet_pane.sheet
        await on_row(pilot, sheet, "treasure")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: sheet.size.width < 80)
        await pilot.pause()
        spot = sheet.spot
        assert spot is not None
        assert spot.entry.value == "treasure"


async def test_a_huge_result_and_hostile_texts_are_shown_without_being_walked() -> None:
    class Counted(list[Any]):
        looked = 0

        def __getitem__(self, place: Any) -> Any:
            Counted.looked += 1
            return super().__getitem__(place)

    evil = "[/b] \x1b]0;title\x07 [red]" + "\u202e" + "x" * 10_000
    result = {evil: evil, "text": "y" * 10_000_000, "many": Counted([evil] * 100_000)}
    story = Story().create([node("a")]).start().run_step("a", result=result)
    async with details_of(story, "a", "output") as (app, pilot, details):
        await until_seen(pilot, "many: [100,000]")
        assert "\x1b" not in on_screen(app)
        sheet = details.sheet_pane.sheet
        await on_row(pilot, sheet, "many:")
        await pilot.press("l", "G", "pageup", "pagedown")
        await until_seen(pilot, "99999: ")
        assert Counted.looked < 5_000


async def test_a_search_in_a_huge_value_is_given_up_when_another_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from agentainer_tui.inspector.finding import Finding

    story = Story().create([node("a")]).start().run_step("a", result=list(range(50_000)))
    steps: dict[Finding, int] = {}
    another = threading.Event()
    step = Finding.step

    def watched(self: Finding, work: int = 100) -> bool:
        steps[self] = steps.get(self, 0) + 1
        if len(steps) > 1:
            another.set()
        elif self.query.text == "4":
            another.wait(20)  # in its thread: the keys go on
        return step(self, 100)

    monkeypatch.setattr(Finding, "step", watched)
    async with details_of(story, "a", "output") as (_, pilot, _):
        await until_seen(pilot, "Result  [50,000]")
        await pilot.press("slash", "4")
        await until(pilot, lambda: steps)
        await pilot.press("9", "9", "9", "9")
        await until(pilot, lambda: any(one.done and one.query.text == "49999" for one in list(steps)))
        await until_seen(pilot, "1/1")
        first = next(iter(steps))
        assert not first.done
        assert steps[first] == 1


async def test_what_is_opened_at_the_lower_edge_is_scrolled_into_sight() -> None:
    story = Story().create([node("a")]).start().run_step("a", result={"n": list(range(200)), "z": "z\n" * 50})
    async with details_of(story, "a", "output", size=(80, 24)) as (app, pilot, details):
        await until_seen(pilot, "Result")
        sheet = details.sheet_pane.sheet
        await pilot.press("G")
        await until(pilot, lambda: sheet.spot is not None and sheet.spot.entry.part == "z")
        assert "text, 51 lines" not in on_screen(app)
        await pilot.press("enter")
        await until_seen(pilot, "text, 51 lines")
        assert sheet.scroll_offset.y + sheet.size.height > sheet.cursor_row + 2, "some of its lines are seen"


async def test_what_is_selected_with_the_mouse_is_what_is_copied(copies: list[str]) -> None:
    async with details_of(inspected(), "make", "output") as (_, pilot, details):
        await until_seen(pilot, "treasure")
        sheet = details.sheet_pane.sheet
        row = row_of(sheet, "files: [2]")
        await pilot.mouse_down(sheet, offset=(5, row))
        await pilot.hover(sheet, offset=(16, row + 1))
        await pilot.mouse_up(sheet, offset=(16, row + 1))
        await pilot.press("y")
        await until(pilot, lambda: copies)
        assert copies[0].split("\n")[0] == "files: [2]"
        assert copies[0].split("\n")[1].strip().startswith('0: "a')


async def test_the_focus_goes_along_from_tab_to_tab() -> None:
    async with details_of(inspected(), "make", "output") as (app, pilot, details):
        for key in ("right_square_bracket",) * 8 + ("left_square_bracket",) * 9:
            await pilot.press(key)
            wanted = details.log_pane.view if details.tab == "log" else details.sheet_pane.sheet
            await until(pilot, lambda wanted=wanted: app.focused is wanted)  # type: ignore[misc]


async def test_a_step_without_a_task_says_so() -> None:
    story = Story().create([node("ask"), node("go", "ask")]).start().ask("ask", "Shall we?")
    async with details_of(story, "ask", "env") as (_, pilot, details):
        await until_seen(pilot, "It runs no task itself: there are no variables.")
        details.go("agent")
        await until_seen(pilot, "It runs no task itself and has no agent.")
