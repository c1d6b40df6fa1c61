"""The area of agents: what runs, what was kept, pools, orphans, and what can be done with them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from agentainer_tui.screens.agents import AgentsScreen
from agentainer_tui.screens.cleanup import CleanupDialog
from agentainer_tui.screens.dialog import Question
from engine.agents.backend import AgentPhase, Sample
from engine.agents.shells import Shell
from engine.inventory import Orphan
from tests.tui.driving import dashboard, home, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import COUNT, HELLO, counting, failed, kept
from tests.tui.test_agent_rows import POOL, START, info

REMEDY = ("docker", "rm", "-f", "-v", "lost-1")


def busy() -> FakeClient:
    """An engine with something in every section."""
    client = FakeClient([HELLO, COUNT], [counting(), failed()])
    client.at_work = [info("agent-count-1", health="healthy")]
    client.kept = [kept("kept-a"), kept("kept-b", size=14 << 20)]
    client.reports = [POOL]
    client.lost = [Orphan(info("lost-1", AgentPhase.EXITED), "docker", "its home is gone", REMEDY)]
    return client


def agents(app: object) -> AgentsScreen:
    screen = getattr(app, "screen")  # noqa: B009 (an app of any type)
    assert isinstance(screen, AgentsScreen), screen
    return screen


async def test_every_section_is_listed_with_its_columns() -> None:
    async with dashboard(busy(), now=START.timestamp() + 600) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "lost-1")
        text = on_screen(app)
        for words in ("Running 1", "count[1]", "healthy", "9m58s", "Kept 2", "14.0 MiB", "Pools 1"):
            assert words in text
        assert "4 of 1-4" in text
        assert "96 %" in text and "16.0 MiB kept" in text


async def test_the_use_and_reuse_of_pools_keep_up() -> None:
    client = busy()
    async with dashboard(client) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "4 of 1-4")
        assert "96 %" in on_screen(app)
        client.reports = [replace(client.reports[0], size=3, hits=1, misses=1)]
        await until_seen(pilot, "3 of 1-4")
        assert "50 %" in on_screen(app)


async def test_empty_sections_say_what_they_are_for() -> None:
    async with dashboard(FakeClient([HELLO]), size=(80, 24)) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "Nothing was kept.")
        await until_seen(pilot, "None.")
        assert "Nothing runs." in on_screen(app)
        assert "No step has run in a warm pool" in on_screen(app)


async def test_figures_move_only_while_the_area_is_seen() -> None:
    client = busy()
    async with dashboard(client) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: client.watched == {"agent-count-1"})
        client.use("agent-count-1", Sample(START, 1.0, 40 << 20))
        client.use("agent-count-1", Sample(START + timedelta(seconds=1), 1.5, 41 << 20))
        await until_seen(pilot, "50 %")
        assert "41.0 MiB" in on_screen(app)
        await pilot.press("1")
        await until(pilot, lambda: not client.watched)
        asked = client.calls.count(("roster",))
        await pilot.press("4")
        await until(pilot, lambda: client.calls.count(("roster",)) > asked and client.watched)


async def test_a_filter_keeps_the_rows_of_all_sections_that_match() -> None:
    async with dashboard(busy()) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "lost-1")
        await pilot.press("slash", *"kept-b")
        await until(pilot, lambda: "lost-1" not in on_screen(app))
        await until_seen(pilot, "1 of 5")
        await pilot.press("escape")
        await until_seen(pilot, "lost-1")


async def test_enter_opens_the_run_at_the_step() -> None:
    async with dashboard(busy()) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "count[1]")
        await pilot.press("home", "enter")
        await until(pilot, lambda: run_screen(app).run_id == "a1b2c3d4e5f6")
        await until(pilot, lambda: run_screen(app).steps.key == ("count", 1))
        await pilot.press("escape")
        await until(pilot, lambda: agents(app))


async def test_what_is_marked_is_removed_after_a_question_and_nothing_else() -> None:
    client = busy()
    async with dashboard(client) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "lost-1")
        await pilot.press("home", "space", "down", "space", "end", "space")
        screen = agents(app)
        assert len(screen.agents.marks) == 2, "what runs cannot be marked"
        await until_seen(pilot, "2 agents marked")
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, CleanupDialog))
        await until_seen(pilot, "docker rm -f -v lost-1")
        assert "kept-b" not in on_screen(app).split("Remove 2 agents?")[1]
        await pilot.press("enter")
        await until(pilot, lambda: agents(app))
        removals = ("cleanup", "remove_orphans")
        assert not [call for call in client.calls if call[0] in removals], "Cancel is first"
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, CleanupDialog))
        await pilot.click("#remove")
        await until_seen(pilot, "2 agents removed")
        assert ("cleanup", ("kept-a",)) in client.calls
        assert ("remove_orphans", ("lost-1",)) in client.calls
        await until(pilot, lambda: not screen.agents.marks)
        await until(pilot, lambda: len(client.kept) == 1 and "lost-1" not in on_screen(app))


async def test_a_section_is_marked_at_once_and_escape_takes_marks_away() -> None:
    async with dashboard(busy()) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "lost-1")
        await pilot.press("home", "down", "M")
        assert agents(app).agents.marks == {("kept", "kept-a"), ("kept", "kept-b")}
        await pilot.press("M")
        assert not agents(app).agents.marks
        await pilot.press("M", "escape")
        assert not agents(app).agents.marks
        assert agents(app), "escape has left nothing else"


async def test_the_selected_one_is_removed_where_nothing_is_marked() -> None:
    client = busy()
    async with dashboard(client) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "lost-1")
        await pilot.press("home", "X")
        assert agents(app), "what runs is not cleaned up"
        await pilot.press("down", "X")
        await until(pilot, lambda: isinstance(app.screen, CleanupDialog))
        await pilot.click("#remove")
        await until(pilot, lambda: ("cleanup", ("kept-a",)) in client.calls)


async def test_a_shell_gets_the_terminal_and_is_closed_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    client = busy()
    client.shells["kept-a"] = Shell("kept-a", ("sh", "-c", "true"), "copy-1", "This is a copy.")
    given: list[tuple[str, ...]] = []
    monkeypatch.setattr("agentainer_tui.flows.entering._run", lambda app, shell: given.append(shell.argv))
    async with dashboard(client) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "lost-1")
        await pilot.press("home", "down", "s")
        await until(pilot, lambda: ("close_shell", "kept-a") in client.calls)
        assert given == [("sh", "-c", "true")]
        await pilot.press("down", "s")
        await until_seen(pilot, "kept-b is gone")
        assert agents(app)


async def test_a_terminal_that_cannot_be_given_away_is_said_and_the_copy_goes() -> None:
    client = busy()
    client.shells["kept-a"] = Shell("kept-a", ("sh", "-c", "true"), "copy-1")
    async with dashboard(client) as (_, pilot):
        await pilot.press("4")
        await until_seen(pilot, "lost-1")
        await pilot.press("home", "down", "s")
        await until_seen(pilot, "this terminal cannot be given to another program")
        assert ("close_shell", "kept-a") in client.calls


async def test_a_large_copy_is_asked_for_first() -> None:
    client = busy()
    large = kept("kept-large", size=3 << 30)
    client.kept = [replace(large, attempt=replace(large.attempt, backend="docker"))]
    async with dashboard(client) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "3.0 GiB")
        await pilot.press("home", "down", "s")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await until_seen(pilot, "a copy of its files: 3.0 GiB")
        await pilot.press("enter")
        await until(pilot, lambda: agents(app))
        assert not [call for call in client.calls if call[0] == "open_shell"]


async def test_a_name_and_a_remedy_are_copied() -> None:
    async with dashboard(busy()) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "lost-1")
        await pilot.press("end", "y")
        await until(pilot, lambda: app.clipboard == "docker rm -f -v lost-1")
        await pilot.press("home", "y")
        await until(pilot, lambda: app.clipboard == "agent-count-1")


async def test_the_run_of_an_agent_is_cancelled_from_here() -> None:
    client = busy()
    async with dashboard(client) as (_, pilot):
        await pilot.press("4")
        await until_seen(pilot, "count[1]")
        await pilot.press("home", "x")
        await until_seen(pilot, "Cancel count")
        await pilot.press("right", "enter")
        await until(pilot, lambda: any(call[0] == "cancel" for call in client.calls))


async def test_f5_looks_for_orphans_again() -> None:
    client = busy()
    async with dashboard(client) as (app, pilot):
        await pilot.press("4")
        await until_seen(pilot, "lost-1")
        client.lost, client.untold = [], ["2 of other homes are left out"]
        await pilot.press("f5")
        await until(pilot, lambda: "lost-1" not in on_screen(app))
        await until_seen(pilot, "2 of other homes are left out")


async def test_a_step_in_a_run_is_entered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    client = busy()
    client.shells["agent-send-2"] = Shell("agent-send-2", ("true",))
    monkeypatch.setattr("agentainer_tui.flows.entering._run", lambda app, shell: None)
    async with dashboard(client) as (app, pilot):
        app.open_run("bad0bad0bad0", "send")
        await until(pilot, lambda: run_screen(app).steps.key == ("send", None))
        await pilot.press("s")
        await until(pilot, lambda: ("close_shell", "agent-send-2") in client.calls)
        run_screen(app).go_to("get")
        await pilot.press("s")
        await until_seen(pilot, "No agent of this step runs or was kept")


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (120, 40), (200, 60)])
async def test_many_agents_with_hostile_names_fit_every_size(size: tuple[int, int]) -> None:
    client = busy()
    bad = "[red]\x1b[31m" + "x" * 300
    client.kept = [kept(f"{number}{bad}") for number in range(300)]
    client.reports = [replace(POOL, name=f"{number}{bad}", note="[b]\n" * 50) for number in range(50)]
    client.lost = [Orphan(info(bad, AgentPhase.EXITED), "docker", "[/x]" * 50, ("docker", "rm", bad))]
    async with dashboard(client, size=size) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: len(agents(app).agents.keys) > 350)
        for keys in (("end",), ("pageup", "M"), ("home", "down", "M", "X"), ("escape",)):
            await pilot.press(*keys)
            await asyncio.sleep(0)
            assert "\x1b" not in on_screen(app)
            assert all(len(row) <= size[0] for row in on_screen(app).splitlines())


async def test_without_an_engine_yet_the_area_waits_and_then_looks() -> None:
    client = busy()
    async with dashboard(client) as (app, pilot):
        assert home(app)
        facts, app.facts = app.facts, None
        await pilot.press("4")
        await until_seen(pilot, "Looking…")
        app.facts = facts
        await until_seen(pilot, "lost-1")
