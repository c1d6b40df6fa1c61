"""What is around the areas: help, jump mode, footer, breadcrumbs, header, title, colours, signs, tour."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from agentainer_tui.app import DashboardApp
from agentainer_tui.client import EngineFacts
from agentainer_tui.key_file import parse_keys
from agentainer_tui.keymap import KEYS, SCOPES, key_text
from agentainer_tui.looks import ASCII
from agentainer_tui.preferences import Preferences
from agentainer_tui.screens.help import HelpScreen
from agentainer_tui.screens.home import HomeScreen
from agentainer_tui.screens.jump import JumpScreen, Letter
from agentainer_tui.screens.run import RunScreen
from agentainer_tui.screens.tour import CARDS, TourScreen
from agentainer_tui.titles import title_sequence, window_title
from agentainer_tui.widgets.breadcrumbs import Breadcrumbs
from agentainer_tui.widgets.key_bar import Hint, KeyBar, arrange
from agentainer_tui.widgets.step_list import RowKey
from tests.tui.driving import dashboard, home, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FACTS, FakeClient
from tests.tui.scenes import COUNT, HELLO, counting, failed
from tests.tui.story import Story, node
from tests.tui.test_hostile_text import HOSTILE, assert_clean

# -- help ---------------------------------------------------------------------------------------------


async def test_help_shows_every_key_those_of_the_focused_pane_and_the_screen_first() -> None:
    async with dashboard(FakeClient([HELLO], [failed()]), size=(100, 400)) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "send")
        await pilot.press("question_mark")
        await until_seen(pilot, SCOPES["home"])
        text = on_screen(app)
        places = [text.index(SCOPES[scope]) for scope in ("list", "run", "app", "home")]
        assert places == sorted(places)
        assert "Lists (here)" in text
        shown = " ".join(text.replace("│", " ").split())
        for key in KEYS:
            assert key.help in shown, key.id
        assert "waits for your answer" in text, "the signs are explained too"


async def test_help_is_searched_while_one_types() -> None:
    async with dashboard(FakeClient([HELLO])) as (app, pilot):
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press(*"last row")
        await until(pilot, lambda: "Approve or reject" not in on_screen(app))
        assert "To the last row" in on_screen(app)
        await pilot.press(*"zzz")
        await until_seen(pilot, "Nothing is called that.")
        await pilot.press("escape")
        await until(pilot, lambda: home(app))


@pytest.mark.parametrize(("size", "columns"), [((80, 24), 1), ((160, 50), 2)])
async def test_help_has_two_columns_where_there_is_room(size: tuple[int, int], columns: int) -> None:
    async with dashboard(FakeClient([HELLO]), size=size) as (app, pilot):
        await pilot.press("question_mark")
        await until_seen(pilot, "Lists (here)")
        helps = {key.help[:24] for key in KEYS if len(key.help) > 24}
        await until(pilot, lambda: sum(help in on_screen(app) for help in helps) > 3)
        most = max(sum(help in line for help in helps) for line in on_screen(app).splitlines())
        assert most == columns


async def test_help_scrolls_with_the_arrows_at_a_small_size() -> None:
    async with dashboard(FakeClient([HELLO]), size=(60, 15)) as (app, pilot):
        await pilot.press("question_mark")
        await until_seen(pilot, "Lists (here)")
        await pilot.press("pagedown", "down")
        await until(pilot, lambda: "Lists (here)" not in on_screen(app))


# -- jump mode ----------------------------------------------------------------------------------------


async def test_jump_mode_leads_to_the_pane_whose_letter_is_pressed() -> None:
    async with dashboard(FakeClient([HELLO], [failed()])) as (app, pilot):
        assert home(app).workflows.has_focus
        await pilot.press("backslash")
        await until(pilot, lambda: isinstance(app.screen, JumpScreen))
        letters = {letter.letter for letter in app.screen.query(Letter)}
        assert letters == {"a", "s"}
        await pilot.press("s")
        await until(pilot, lambda: home(app).runs.has_focus)
        await pilot.press("backslash", "x", "escape")
        await until(pilot, lambda: home(app).runs.has_focus)


async def test_jump_mode_reaches_tabs_and_works_with_the_mouse() -> None:
    async with dashboard(FakeClient([HELLO], [failed()])) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "send")
        before = run_screen(app).details.tab
        await until(pilot, lambda: run_screen(app).query("Tab").last().region.area)
        await pilot.press("backslash")
        await until(pilot, lambda: len(app.screen.query(Letter)) >= 4)
        tab = run_screen_below(app).query("Tab")[1]
        letter = next(
            each
            for each in app.screen.query(Letter)
            if each.region.y == tab.region.y and each.region.x == tab.region.x
        )
        await pilot.click(offset=letter.region.offset)
        await until(pilot, lambda: run_screen(app).details.tab != before)


def run_screen_below(app: DashboardApp) -> RunScreen:
    screen = app.screen_stack[-2]
    assert isinstance(screen, RunScreen)
    return screen


async def test_jump_mode_ends_when_the_terminal_gets_another_size() -> None:
    async with dashboard(FakeClient([HELLO])) as (app, pilot):
        await pilot.press("backslash")
        await until(pilot, lambda: isinstance(app.screen, JumpScreen))
        await pilot.resize_terminal(90, 30)
        await until(pilot, lambda: home(app))


# -- footer -------------------------------------------------------------------------------------------


def hints(*widths: int, always: int = 0) -> list[Hint]:
    made = [Hint("k", "x" * (width - 2), True, False) for width in widths]
    return made + [Hint("?", "Help", True, True)] * always


def test_the_least_important_keys_drop_out_first_and_whole() -> None:
    assert arrange(hints(6, 6, 6), 22) == [(0, 0), (1, 8), (2, 16)]
    assert arrange(hints(6, 6, 6), 21) == [(0, 0), (1, 8)]
    assert arrange(hints(6, 6, always=1), 30) == [(0, 0), (1, 8), (2, 24)]
    assert arrange(hints(6, 6, always=1), 15) == [(0, 0), (2, 9)]
    assert arrange(hints(6, always=2), 7) == [(2, 1)], "the last of those that are always kept stays"
    assert arrange(hints(6, always=1), 3) == []
    assert arrange([], 10) == []


@pytest.mark.parametrize("width", range(1, 80, 7))
def test_keys_in_the_footer_never_overlap_and_never_run_over(width: int) -> None:
    made = hints(6, 9, 4, 12, 7, always=3)
    shown = sorted((column, made[place].width) for place, column in arrange(made, width))
    for (column, taken), (following, _) in itertools.pairwise(shown):
        assert column + taken < following
    assert all(column + taken <= width for column, taken in shown)


async def test_the_footer_does_what_its_keys_do_when_it_is_clicked() -> None:
    client = FakeClient([HELLO])
    async with dashboard(client) as (app, pilot):
        bar = home(app).query_one(KeyBar)
        line = next(line for line in on_screen(app).splitlines()[::-1] if "Run" in line)
        await pilot.click(bar, offset=(line.index("Run"), 0))
        await until(pilot, lambda: ("run", "/w/hello.yaml", {}) in client.calls)


@pytest.mark.parametrize("size", [(20, 5), (60, 15), (80, 24), (300, 100)])
async def test_the_footer_always_leads_to_help(size: tuple[int, int]) -> None:
    async with dashboard(FakeClient([HELLO], [failed()]), size=size) as (app, pilot):
        await until(pilot, lambda: "Quit" in on_screen(app).splitlines()[-1])
        assert len(on_screen(app).splitlines()[-1]) <= size[0]
        if size[0] >= 60:
            assert "? Help" in on_screen(app).splitlines()[-1]


# -- breadcrumbs, header, title -----------------------------------------------------------------------


async def test_what_was_done_is_shown_as_a_command_and_copied_by_key_and_by_click() -> None:
    client = FakeClient([HELLO])
    async with dashboard(client) as (app, pilot):
        await pilot.press("Y")
        await until_seen(pilot, "Nothing was done yet")
        await pilot.press("r")
        await until_seen(pilot, "$ agentainer run /w/hello.yaml")
        await pilot.press("Y")
        await until(pilot, lambda: app.clipboard == "agentainer run /w/hello.yaml")
        app.copy_to_clipboard("")
        await pilot.press("1")
        await until_seen(pilot, "$ agentainer run /w/hello.yaml")
        await pilot.click(Breadcrumbs, offset=(115, 0))
        await until(pilot, lambda: app.clipboard == "agentainer run /w/hello.yaml")


async def test_the_header_counts_slots_while_something_runs() -> None:
    client = FakeClient([COUNT], [counting()])
    client.busy = 3
    async with dashboard(client) as (app, pilot):
        await until_seen(pilot, "1 running · 3/8 slots · local processes")
        client.busy = 0
        story = counting().step_end("count").run_step("sum").finish()
        client.tell(story)
        await until(pilot, lambda: "slots" not in on_screen(app))


@pytest.mark.parametrize("width", [20, 40, 60])
async def test_the_header_is_one_line_and_one_for_each_note_however_narrow(width: int) -> None:
    facts = dataclasses.replace(FACTS, notes=("no Docker engine: " + "really " * 30,))
    client = FakeClient([HELLO], [failed(), counting()], facts=facts)
    async with dashboard(client, size=(width, 15)) as (app, _):
        lines = on_screen(app).splitlines()
        assert "1" in lines[0]
        assert lines[1].lstrip().startswith("▲ no Docker")
        assert lines[1].rstrip().endswith("…"), "cut with a sign, not on a line of its own"
        assert "/projects" in lines[2]


async def test_the_header_says_that_a_recording_is_read_only() -> None:
    facts = dataclasses.replace(FACTS, recording="x.run")
    async with dashboard(FakeClient([], [failed()], facts=facts)) as (_, pilot):
        await until_seen(pilot, "read-only · local processes")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_header_breadcrumbs_and_title_survive_hostile_text(text: str) -> None:
    facts = EngineFacts(text, text, (text,))
    story = counting(workflow=text)
    async with dashboard(FakeClient([COUNT], [story], facts=facts), size=(80, 24)) as (app, pilot):
        app.echo(app.twins.answer(story.run_id, text, approved=True, comment=text))
        app.open_run(story.run_id)
        await until_seen(pilot, "Count words")
        assert_clean(on_screen(app))
        title = title_sequence(window_title(app.feed.active(), app.glyphs))
        assert title.startswith("\x1b]2;")
        assert title.endswith("\x07")
        assert not any(ord(sign) < 0x20 or 0x7F <= ord(sign) <= 0x9F for sign in title[4:-1])
        assert len(title) < 120


async def test_the_title_says_what_runs_and_how_far_it_is() -> None:
    client = FakeClient([COUNT], [counting()])
    async with dashboard(client) as (app, pilot):
        assert app._title == "● 1/3 count · agentainer"
        client.tell(counting("ffff00001111", first_seq=3000))
        await until(pilot, lambda: app._title == "● 2 runs 33% · agentainer")
        assert window_title([], app.glyphs) == "agentainer"


async def test_a_failure_rings_only_for_whoever_looks_at_another_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rung: list[str] = []
    client = FakeClient([HELLO])
    async with dashboard(client) as (app, pilot):
        monkeypatch.setattr(app, "bell", lambda: rung.append("bell"))
        client.tell(failed("a" * 12, first_seq=100))
        await until(pilot, lambda: app.feed.rows.get("a" * 12) is not None)
        await until_seen(pilot, "failed")
        assert rung == []
        app.post_message(events.AppBlur())
        await until(pilot, lambda: not app.app_focus)
        client.tell(failed("b" * 12, first_seq=900))
        await until(pilot, lambda: rung == ["bell"])


# -- keys, colours, signs -----------------------------------------------------------------------------


class Around:
    """An app with other surroundings than the usual ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **around: Any) -> None:
        before = DashboardApp.__init__

        def init(app: DashboardApp, *args: Any, **given: Any) -> None:
            before(app, *args, **{**given, **around})

        monkeypatch.setattr(DashboardApp, "__init__", init)


async def test_changed_keys_work_and_are_shown_and_mistakes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = parse_keys('"home.run" = "ctrl+r"\n"home.rum" = "u"', Path("/k/keys.toml"))
    Around(monkeypatch, keys=keys)
    client = FakeClient([HELLO])
    async with dashboard(client) as (app, pilot):
        await until_seen(pilot, "there is no action 'home.rum'")
        await until_seen(pilot, "ctrl+r Run")
        await pilot.press("r")
        await pilot.pause()
        assert not any(call[0] == "run" for call in client.calls)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: ("run", "/w/hello.yaml", {}) in client.calls)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press(*"asks for its params")
        await until_seen(pilot, "ctrl+r")


async def test_every_changed_key_reaches_its_action(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '"app.quit" = ["f10", "Q"]\n"list.down" = "f9"\n"app.history" = "f6"'
    keys = parse_keys(text, Path("/k/keys.toml"))
    assert keys.problems == ()
    Around(monkeypatch, keys=keys)
    async with dashboard(FakeClient([COUNT, HELLO])) as (app, pilot):
        await pilot.press("f9")
        assert home(app).workflows.entry == HELLO
        await pilot.press("j", "q")
        assert home(app).workflows.entry == HELLO
        await until_seen(pilot, " f6 History ")
        await pilot.press("f6")
        await until(pilot, lambda: app.current_mode == "history")
        await pilot.press("Q")
        await until(pilot, lambda: app.return_code == 0)


async def test_no_color_draws_everything_in_two_colours_and_the_cursor_in_reverse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with dashboard(FakeClient([COUNT, HELLO], [failed(), counting()])) as (app, pilot):
        assert app.theme == "agentainer-mono"
        strips = app.screen._compositor.render_strips(app.screen.size)
        colours = {
            colour.name
            for strip in strips
            for segment in strip
            if segment.style is not None
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour is not None
        }
        assert colours <= {"default"}
        await until_seen(pilot, "failed")
        assert any(s.style and s.style.reverse for strip in strips for s in strip), "the cursor is seen"


async def test_ascii_draws_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    Around(monkeypatch, glyphs=ASCII)
    async with dashboard(FakeClient([COUNT, HELLO], [failed(), counting()])) as (app, pilot):
        assert on_screen(app).isascii()
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "send")
        assert on_screen(app).isascii()
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert on_screen(app).isascii()
        await pilot.press("escape", "colon")
        await until_seen(pilot, "What to do?")
        assert on_screen(app).isascii()


async def test_the_choice_of_colours_is_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "dashboard.json"
    Around(monkeypatch, preferences=Preferences(file, tour_seen=True))
    async with dashboard(FakeClient([HELLO])) as (app, pilot):
        app.remember_theme("nord")
        await until(pilot, file.exists)
    Around(monkeypatch, preferences=Preferences.load(file))
    async with dashboard(FakeClient([HELLO])) as (app, _):
        assert app.theme == "nord"


async def test_a_theme_that_is_not_there_is_told_and_our_own_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    Around(monkeypatch, theme="[/x]")
    async with dashboard(FakeClient([HELLO])) as (app, pilot):
        await until_seen(pilot, "There is no theme '[/x]'.")
        assert app.theme == "agentainer-dark"


# -- tour ---------------------------------------------------------------------------------------------


async def test_the_tour_comes_once_and_again_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "dashboard.json"
    Around(monkeypatch, preferences=Preferences(file))
    async with dashboard(FakeClient([HELLO])) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, TourScreen))
        for number in range(len(CARDS)):
            await until_seen(pilot, f"{number + 1} of {len(CARDS)}")
            await until(pilot, lambda: not app.screen.query("Button.-active"))  # a button needs its moment
            await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))
        await until(pilot, file.exists)
    Around(monkeypatch, preferences=Preferences.load(file))
    async with dashboard(FakeClient([HELLO])) as (app, pilot):
        await pilot.pause()
        assert home(app)
        await tour_from_the_menu(app, pilot)
        await pilot.press("escape")
        await until(pilot, lambda: home(app))


async def tour_from_the_menu(app: DashboardApp, pilot: Pilot[Any]) -> None:
    await pilot.press("colon", *"tour")
    await until_seen(pilot, "Show in a minute")
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, TourScreen))


def test_the_tour_names_keys_that_exist() -> None:
    import re

    named = {name for _, lines in CARDS for line in lines for name in re.findall(r"{([\w.]+)}", line)}
    assert named
    assert named <= {key.id for key in KEYS}
    assert all(key_text(key) for key in KEYS if key.id in named)


async def test_breadcrumbs_say_which_step_and_item_is_selected_and_lead_back_to_it() -> None:
    async with dashboard(FakeClient([COUNT], [counting()])) as (app, pilot):
        app.open_run("a1b2c3d4e5f6")
        await until_seen(pilot, "a1b2c3d4e5f6 › count")
        run_screen(app).steps.select(RowKey("count", 3))
        await until_seen(pilot, "a1b2c3d4e5f6 › count[3]")
        await pilot.press("tab")
        await until(pilot, lambda: not run_screen(app).steps.has_focus)
        line = on_screen(app).splitlines()[1]
        await pilot.click(Breadcrumbs, offset=(line.index("count[3]"), 0))
        await until(pilot, lambda: run_screen(app).steps.has_focus)
        await pilot.click(Breadcrumbs, offset=(2, 0))
        await until(pilot, lambda: home(app))


# -- painting -----------------------------------------------------------------------------------------


async def test_what_a_screen_covers_is_not_drawn_and_what_a_dialog_lets_through_is() -> None:
    story = Story().create([node("fetch"), node("join", "fetch")]).start()
    client = FakeClient([HELLO], [story])
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "0/2 steps")
        covered, shown = app.screen_stack[-2:]
        assert shown.is_current and not covered.is_current
        whole: list[bool] = []
        paint = shown._compositor.render_full_update

        def noted(simplify: bool = False) -> Any:
            whole.append(simplify)
            return paint(simplify)

        shown._compositor.render_full_update = noted  # type: ignore[method-assign]
        client.tell(story.run_step("fetch", 1.5))
        await until_seen(pilot, "1/2 steps")
        client.tell(story.run_step("join").finish())
        await until_seen(pilot, "2/2 steps")
        assert len(whole) <= 1, "only what changed is drawn"
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert shown.is_current and not covered.is_current


async def test_ctrl_c_tells_the_key_that_leaves() -> None:
    async with dashboard(FakeClient([HELLO])) as (_app, pilot):
        await pilot.press("ctrl+c")
        await until_seen(pilot, "q leaves the dashboard.")
