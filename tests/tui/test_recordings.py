"""Runs as files in the dashboard: exported with a key, opened as if they were live, only nothing changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentainer_tui.app import DashboardApp
from agentainer_tui.bridge.recording import RecordingClient
from agentainer_tui.client import AttemptKey, EngineFacts, RetryScope
from agentainer_tui.commands.recordings import clock_of
from agentainer_tui.keymap import KEYS
from agentainer_tui.screens.compare import CompareScreen
from agentainer_tui.widgets.step_list import RowKey
from engine.errors import UsageError
from engine.recordings import Recording
from tests.tui.driving import dashboard, home, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import COMMANDS, FakeClient
from tests.tui.scenes import HELLO, failed
from tests.tui.test_real_engine import client_of, followed, opened, over, write


async def test_a_key_exports_the_run_and_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    client = FakeClient(stories=[failed()])
    async with dashboard(client) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "refused by the server")
        await pilot.press("S")
        await until_seen(pilot, "Run exported")
        assert ("export_run", "bad0bad0bad0", tmp_path) in client.calls
        await until_seen(pilot, "w-bad0bad0bad0.agentainer")
        client.refuse = UsageError("the disk is full")
        await pilot.press("S")
        await until_seen(pilot, "the disk is full")


async def test_in_a_recording_nothing_is_offered_that_would_change_it() -> None:
    client = FakeClient(stories=[failed()], facts=EngineFacts("recording x", "made then", recording="x"))
    async with dashboard(client) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "refused by the server")
        assert "read-only" in on_screen(app)
        await until_seen(pilot, "esc Back")
        footer = next(row for row in on_screen(app).split("\n") if "esc Back" in row)
        assert "Retry" not in footer
        for key in ("R", "X", "S"):
            await pilot.press(key)
            await until_seen(pilot, "This is a recording")
            app.clear_notifications()
        assert client.calls == [] and app.screen is run_screen(app)
        await pilot.press("colon")
        await until_seen(pilot, "Zoom")
        assert "Retry" not in on_screen(app)


@pytest.mark.parametrize("place", ["run", "workflows", "history", "agents"])
async def test_no_key_at_all_changes_anything_in_a_recording(place: str) -> None:
    client = FakeClient([HELLO], [failed()], facts=EngineFacts("recording", recording="x"))
    scopes = {"run": ("run",), "workflows": ("home",), "history": ("history",), "agents": ("agents",)}[place]
    keys = [name for key in KEYS if key.scope in scopes for name in key.keys.split(",")]
    async with dashboard(client) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "refused by the server")
        app.show_area(place)
        await pilot.pause()
        stack = len(app.screen_stack)
        for key in keys:
            if key in ("escape", "backspace"):
                continue
            await pilot.press(key, "enter" if key in ("R", "x", "X", "D", "r", "a", "s") else "f12")
            while len(app.screen_stack) > stack:
                await pilot.press("escape")
            app.show_area(place)
        assert not {call[0] for call in client.calls} & set(COMMANDS)


async def test_a_real_run_exported_and_opened_shows_the_same(tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    path = write(flows)
    async with opened(client_of(tmp_path, flows)) as client:
        await client.snapshot(page=10)
        run_id = await client.run(str(path), {})
        view = await followed(client, run_id, over)
        done = await client.export_run(run_id, tmp_path)
        second = await client.export_run(run_id, tmp_path)
        assert (
            done.path.name == f"flow-{run_id}.agentainer"
            and second.path.name == f"flow-{run_id}-2.agentainer"
        )
        text = await client.document(view.digest)
    recording = Recording.open(done.path)
    client2 = RecordingClient(recording)
    app = DashboardApp(client2, tmp_path, now=clock_of(recording.manifests), first_run=run_id)
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until_seen(pilot, "read-only: flow-")
            await until(pilot, lambda: run_screen(app).view == view)
            assert await client2.document(view.digest) == text
            last = view.steps["say"].attempts[-1]
            log = client2.log(AttemptKey(run_id, "say", None, last.number, last.log))
            extent = [extent async for extent in log.watch()][-1]
            assert {line.text for line in (await log.lines(range(extent.last))).values()} == {
                "hello",
                "careful",
            }
            await log.close()
            assert await client2.state_at(run_id, last.created_seq) == {
                "names": ["ann", "bob", "eve"],
                "params": {"word": "hello"},
            }
            run_screen(app).steps.select(RowKey("say"))
            await until_seen(pilot, "▎ careful")
            await pilot.press("comma")
            await until_seen(pilot, f"event {done.events - 1}/{done.events}")
            with pytest.raises(UsageError, match="this is a recording"):
                await client2.retry(run_id, RetryScope())
            assert await client2.kept_agents() == () and await client2.pools() == ()
            assert await client2.describe_agent(last.agent) is None
            await pilot.press("q")
            await until(pilot, lambda: app.return_value == 0)
    finally:
        await client2.close()
    assert not recording.settings.home.exists()


async def test_a_run_that_is_not_over_stands_still_where_it_was_recorded(tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    path = write(flows, seconds="30")
    async with opened(client_of(tmp_path, flows)) as client:
        await client.snapshot(page=10)
        run_id = await client.run(str(path), {})
        await followed(client, run_id, lambda view: bool(view.steps["slow"].attempts))
        done = await client.export_run(run_id, tmp_path)
        await client.cancel(run_id, hurry=True)
    recording = Recording.open(done.path)
    client2 = RecordingClient(recording)
    clock = clock_of(recording.manifests)
    assert clock() == clock()
    app = DashboardApp(client2, tmp_path, now=clock, first_run=run_id)
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until_seen(pilot, "● running")
            await pilot.press("q")
            await until(pilot, lambda: app.return_value == 0)
    finally:
        await client2.close()


async def test_runs_of_several_files_are_compared(tmp_path: Path) -> None:
    files = []
    for number, word in enumerate(("hello", "bye")):  # on two machines: numbers of events are the same
        place = tmp_path / str(number)
        flows = place / "flows"
        flows.mkdir(parents=True)
        path = write(flows)
        async with opened(client_of(place, flows)) as client:
            await client.snapshot(page=10)
            run_id = await client.run(str(path), {"word": word})
            await followed(client, run_id, over)
            files.append((await client.export_run(run_id, tmp_path)).path)
    with pytest.raises(UsageError, match="so has another"):
        Recording.open(files[0], files[0])
    recording = Recording.open(files[1], files[0])
    client2 = RecordingClient(recording)
    first = recording.manifests[1].run
    app = DashboardApp(client2, tmp_path, first_run=recording.manifests[0].run)
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until_seen(pilot, "2 recordings")
            await until(pilot, lambda: run_screen(app).view is not None)
            await pilot.press("1")
            await until(pilot, lambda: len(home(app).runs.keys) == 2)
            home(app).runs.marked = [str(key) for key in home(app).runs.keys]
            home(app).runs.focus()
            await pilot.press("equals_sign")
            await until_seen(pilot, "Side by side")
            await until_seen(pilot, "first")
            screen = app.screen
            assert isinstance(screen, CompareScreen)
            assert screen.comparison.before.id == first
            params = next(row for row in screen.comparison.rows if row.key == "params")
            assert [(fact.before, fact.after) for fact in params.differences] == [("hello", "bye")]
            for run in (screen.comparison.before, screen.comparison.after):
                last = run.steps["say"].attempts[-1]
                log = client2.log(AttemptKey(run.id, "say", None, last.number, last.log))
                extent = [extent async for extent in log.watch()][-1]
                texts = {line.text for line in (await log.lines(range(extent.last))).values()}
                assert run.params["word"] in texts
                await log.close()
    finally:
        await client2.close()
