from __future__ import annotations

from pathlib import Path

import pytest

from agentainer_tui.app import DashboardApp
from agentainer_tui.bridge.client import EngineClient
from agentainer_tui.commands.dispatch import parse
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.looks import ASCII, UNICODE, choose_glyphs
from agentainer_tui.palette import main_step
from agentainer_tui.surroundings import surroundings
from engine.settings import Settings
from tests.tui.driving import dashboard, home, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import COUNT, HELLO, counting, failed


def test_the_app_gets_what_files_and_settings_say(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text('"home.run" = "f9"')
    (tmp_path / "dashboard.json").write_text('{"theme": "nord", "tour_seen": true}')
    around = surroundings(Settings(home=tmp_path, ascii=True, theme="gruvbox", backend="process"), tmp_path)

    assert around["glyphs"] is ASCII
    assert around["keys"].changed == {"home.run": "f9"}
    assert around["preferences"].tour_seen
    assert around["twins"].show("abc") == f"agentainer show abc --home {tmp_path}"
    assert around["twins"].cleanup().startswith("agentainer cleanup --backend process")
    app = DashboardApp(FakeClient(), tmp_path, **around)
    assert app.theme == "gruvbox", "a setting wins over what was chosen last"


def test_the_flag_for_ascii_is_a_setting_like_any_other(tmp_path: Path) -> None:
    assert settings_of(parse(["--home", str(tmp_path), "--ascii"])).ascii
    assert not settings_of(parse(["--home", str(tmp_path)])).ascii


@pytest.mark.parametrize(
    ("variables", "glyphs"),
    [({"LC_ALL": "C"}, ASCII), ({"LANG": "POSIX"}, ASCII), ({"LC_ALL": "C.UTF-8", "LANG": "C"}, UNICODE)],
)
def test_who_asks_for_the_c_locale_gets_ascii(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], glyphs: object
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.__stdout__", type("Stream", (), {"encoding": "utf-8"}))

    assert choose_glyphs(term="xterm-256color") is glyphs


async def test_an_engine_that_is_open_counts_its_slots(tmp_path: Path) -> None:
    client = EngineClient(Settings(home=tmp_path, backend="process", max_tasks=3), tmp_path)
    assert client.slots() == (0, 3), "also before it is open"
    await client.open()
    try:
        assert client.slots() == (0, 3)
    finally:
        await client.close()


async def test_what_has_a_key_here_is_reached_with_the_mouse_too() -> None:
    """What only moves has the wheel and clicks, back has the breadcrumbs; the rest is in the menu."""
    async with dashboard(FakeClient([COUNT, HELLO], [failed(), counting()])) as (app, pilot):
        await until_seen(pilot, "hello")
        offered_on(app)
        assert home(app)
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "send")
        await until(pilot, lambda: run_screen(app).steps.has_focus)
        offered_on(app)


def offered_on(app: DashboardApp) -> None:
    moving = {"list", "steps", "text", "scrubber"}
    elsewhere = {
        "back",
        "palette",
        "next_pane",
        *(area for area in ("workflows", "run", "history", "agents")),
    }
    menu = {command.text for command in main_step(app).commands}
    for active in app.screen.active_bindings.values():
        scope, _, name = (active.binding.id or "").partition(".")
        if scope and active.enabled and scope not in moving and name not in {*elsewhere, "metrics"}:
            assert active.binding.description in menu, active.binding.id
