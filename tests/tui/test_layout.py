from __future__ import annotations

import pytest

from agentainer_tui.client import EngineFacts
from agentainer_tui.keymap import KEYS, SCOPES, TOGETHER, TYPING, bindings, clashes, key_text
from agentainer_tui.looks import ASCII, LOOKS, UNICODE, choose_glyphs
from agentainer_tui.screens.home import HomeScreen
from agentainer_tui.screens.run import RunScreen
from agentainer_tui.widgets.breadcrumbs import Breadcrumbs
from agentainer_tui.widgets.header import StatusHeader
from engine.events import RunStatus, StepStatus
from tests.tui.driving import dashboard, home, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import BROKEN, COUNT, HELLO, counting, failed, kept

SIZES = [(20, 5), (80, 24), (200, 60)]


@pytest.mark.parametrize("size", SIZES, ids=[f"{w}x{h}" for w, h in SIZES])
async def test_every_screen_fits_every_size(size: tuple[int, int]) -> None:
    client = FakeClient([BROKEN, COUNT, HELLO], [failed(), counting()])
    client.kept = [kept("agent-one")]
    async with dashboard(client, size=size) as (app, pilot):
        await pilot.press("j", "enter")
        await until(pilot, lambda: run_screen(app).steps.keys)
        await pilot.press("j", "k", "right_square_bracket", "z", "z", "tab", "shift+tab", "x")
        await until(pilot, lambda: app.screen.query("#choice-0"))
        await pilot.press("escape", "question_mark")
        await until(pilot, lambda: app.screen.query("#body"))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: home(app))
        await pilot.press("r")
        await until(pilot, lambda: app.screen.query("#start"))
        assert all(len(row) <= size[0] for row in on_screen(app).splitlines())


async def test_a_terminal_that_shrinks_to_almost_nothing_and_grows_again_is_survived() -> None:
    async with dashboard(FakeClient([COUNT, HELLO], [failed(), counting()])) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app).steps.keys)
        for size in ((20, 5), (1, 1), (200, 60), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.press("j", "k")
        await until_seen(pilot, "Count words")


async def test_panes_stand_beside_each_other_only_where_there_is_room() -> None:
    async with dashboard(FakeClient([HELLO], [failed()]), size=(80, 24)) as (app, pilot):
        await until(pilot, lambda: home(app).runs.region.y > home(app).workflows.region.y)
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: home(app).runs.region.x > home(app).workflows.region.x)
        app.open_run("bad0bad0bad0")
        await until(pilot, lambda: run_screen(app).details.region.y > run_screen(app).steps.region.y > 0)
        await pilot.resize_terminal(200, 60)
        await until(pilot, lambda: run_screen(app).details.region.x > run_screen(app).steps.region.x)


async def test_the_footer_shows_every_key_it_has_in_eighty_columns() -> None:
    async with dashboard(FakeClient([COUNT], [counting()]), size=(80, 24)) as (app, pilot):
        await until_seen(pilot, "q Quit")
        app.open_run("a1b2c3d4e5f6")
        await until_seen(pilot, "space Fold")
        await until_seen(pilot, "q Quit")


async def test_notes_of_the_engine_have_a_line_each() -> None:
    facts = EngineFacts("docker 27", "", ("first thing to know", "second thing to know"))
    async with dashboard(FakeClient([HELLO], facts=facts), size=(80, 24)) as (app, _):
        rows = on_screen(app).splitlines()
        assert "first thing" in rows[1]
        assert "second thing" in rows[2]


async def test_ascii_terminals_get_ascii_only() -> None:
    from pathlib import Path

    from agentainer_tui.app import DashboardApp

    client = FakeClient([COUNT, HELLO], [failed(), counting()])
    app = DashboardApp(client, Path("/w"), glyphs=ASCII)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until(pilot, lambda: app.facts is not None)
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "send")
        frames = set("╭╮╰╯─│▁▂▃▄▅▆▇█▉▊▋▌▍▎▏┃▕ ")  # borders and scroll bars are Textual's
        odd = {sign for sign in on_screen(app) if ord(sign) > 126} - frames - {"…"}
        assert not odd


@pytest.mark.parametrize("theme", ["agentainer-light", "ansi-dark", "nord"])
async def test_every_kind_of_theme_works(theme: str) -> None:
    async with dashboard(FakeClient([COUNT], [counting()])) as (app, pilot):
        app.theme = theme
        app.open_run("a1b2c3d4e5f6")
        await until_seen(pilot, "Count words")
        app.theme = "agentainer-dark"
        await pilot.pause()


def test_every_status_has_a_sign_in_both_sets_a_word_and_an_ink() -> None:
    for status in [*RunStatus, *StepStatus]:
        look = LOOKS[status.value]
        assert look.word
        assert look.ascii.isascii()
        assert ASCII.of(status) != ASCII.of("unheard of")
    for signs in ("glyph", "ascii"):
        steps = [getattr(LOOKS[status.value], signs) for status in StepStatus]
        assert len(set(steps)) == len(steps), "told apart without colour"


def test_glyphs_follow_the_terminal() -> None:
    assert choose_glyphs("utf-8", "xterm-256color") is UNICODE
    assert choose_glyphs("UTF8", "tmux") is UNICODE
    assert choose_glyphs("utf-8", "linux") is ASCII
    assert choose_glyphs("ascii", "xterm") is ASCII


def test_keys_do_not_collide_within_what_is_active_together() -> None:
    assert [(name, inner.id, outer.id) for name, inner, outer in clashes(KEYS)] == []
    assert {scope for scopes in TOGETHER for scope in scopes} == set(SCOPES)


def test_no_key_is_one_that_terminals_or_tmux_keep_and_none_that_destroys_is_a_chord() -> None:
    kept_back = {f"ctrl+{letter}" for letter in ("a", "b", "h", "i", "j", "m", "space")}
    for key in KEYS:
        names = set(key.keys.split(","))
        assert not names & kept_back
        typing = key.scope in TYPING  # letters are text there, and nothing there destroys
        assert typing or key.name == "palette" or not any(name.startswith("ctrl+") for name in names)


def test_every_binding_has_an_id_of_its_own() -> None:
    ids = [binding.id for scope in SCOPES for binding in bindings(scope)]
    assert None not in ids
    assert len(set(ids)) == len(ids) == len(KEYS)
    assert all(key_text(key) for key in KEYS)


async def test_keys_lead_to_areas_which_stay_as_they_were_left() -> None:
    client = FakeClient([HELLO, COUNT], [failed(), counting()])
    async with dashboard(client) as (app, pilot):
        await pilot.press("2")
        await until_seen(pilot, "No run is open.")
        await pilot.press("1", "g", "tab", "enter")
        await until_seen(pilot, "Count words")
        run_id = run_screen(app).run_id
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert run_screen(app).run_id == run_id
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))


async def test_the_line_of_places_leads_back_with_a_click() -> None:
    async with dashboard(FakeClient([COUNT], [counting()])) as (app, pilot):
        app.open_run("a1b2c3d4e5f6")
        await until_seen(pilot, "count › a1b2c3d4e5f6")
        await pilot.click(Breadcrumbs, offset=(2, 0))
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))
        await pilot.click(StatusHeader, offset=(29, 0))
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
