"""The port and the app over the real engine, with local processes and a Redis of our own."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentainer_tui.app import DashboardApp
from agentainer_tui.bridge.client import EngineClient
from agentainer_tui.client import AttemptKey, RetryScope
from agentainer_tui.model import reduce_all
from agentainer_tui.views import RunView
from agentainer_tui.widgets.step_list import RowKey
from engine.errors import UnavailableError, UsageError
from engine.events import RunStatus
from engine.facade import RunFilter
from engine.settings import Settings
from tests.tui.driving import home, on_screen, run_screen, until, until_seen

DOCUMENT = """
name: flow
description: Two steps and a map.
params:
  word: {description: What is said., default: hello}
config: {cleanup_policy: CLEANUP, failure_strategy: continue}
state: {names: [ann, bob, eve]}
steps:
  - id: say
    command: ["sh", "-c", "echo $0; echo careful >&2", "{{ $.params.word }}"]
  - id: greet
    type: map
    map_config: {input_path: names, error_handling: continue_on_error}
    command: ["sh", "-c", "test $0 != eve && echo hi $0", "{{ $.item }}"]
  - id: slow
    command: ["sh", "-c", "sleep $0", "SECONDS"]
"""


def write(directory: Path, *, seconds: str = "0", cleanup: str = "always") -> Path:
    path = directory / "flow.yaml"
    path.write_text(DOCUMENT.replace("SECONDS", seconds).replace("CLEANUP", cleanup))
    return path


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    directory = tmp_path / "flows"
    directory.mkdir()
    return directory


def client_of(tmp_path: Path, flows: Path) -> EngineClient:
    return EngineClient(Settings(home=tmp_path / "home", backend="process", stop_grace=0.5), flows)


@asynccontextmanager
async def opened(client: EngineClient) -> AsyncIterator[EngineClient]:
    async with asyncio.timeout(60):
        await client.open()
        try:
            yield client
        finally:
            await client.close()


async def followed(client: EngineClient, run_id: str, enough: Callable[[RunView], bool]) -> RunView:
    """The run's view, reduced from live events, as soon as it is `enough`."""
    view: RunView | None = None
    async for batch in client.events():
        view = reduce_all(view, [event for event in batch if event.run_id == run_id])
        if view is not None and enough(view):
            return view
    raise AssertionError("the events ended")


def over(view: RunView) -> bool:
    return view.status.is_terminal


async def test_a_run_through_the_port_from_its_start_to_its_log(tmp_path: Path, flows: Path) -> None:
    path = write(flows)
    async with opened(client_of(tmp_path, flows)) as client:
        snapshot = await client.snapshot(page=10)
        assert snapshot.facts.backend == "local processes"
        assert snapshot.facts.store
        assert [(entry.name, entry.path, entry.runnable) for entry in snapshot.workflows] == [
            ("flow", str(path), True)
        ]
        assert [spec.name for spec in snapshot.workflows[0].params] == ["word"]
        run_id = await client.run(str(path), {"word": "good day"})
        view = await followed(client, run_id, over)
        assert view.status is RunStatus.PARTIALLY_COMPLETED, "one item of the map failed"
        assert view.steps["say"].result == "good day"
        assert [item.status.value for item in view.steps["greet"].items] == [
            "completed",
            "completed",
            "failed",
        ]

        live = reduce_all(None, await client.run_events(run_id, after=0, limit=10_000))
        assert live == view, "replay from history is what was seen live"

        last = view.steps["say"].attempts[-1]
        key = AttemptKey(run_id, "say", None, last.number, last.log)
        log = client.log(key)
        extent = [extent async for extent in log.watch()][-1]
        lines = await log.lines(range(extent.first, extent.last))
        await log.close()
        assert {(line.stream, line.text) for line in lines.values()} == {
            ("stdout", "good day"),
            ("stderr", "careful"),
        }
        state = await client.state_at(run_id, last.created_seq)
        assert state["names"] == ["ann", "bob", "eve"]
        rows = await client.runs(limit=10, before=None, workflow="flow")
        assert [row.id for row in rows] == [run_id]
        assert await client.runs(limit=10, before=rows[0].seq, workflow="flow") == ()
        assert await client.pools() == (), "local processes have none"

        usual = await client.usual_times("flow", before=None)
        assert (usual.runs, set(usual.steps)) == (1, set(view.steps))
        assert view.started_at is not None
        assert usual.seconds == pytest.approx((view.finished_at or 0) - view.started_at, abs=0.01)
        assert (await client.usual_times("flow", before=rows[0].seq)).runs == 0, "only what was before"


async def test_retry_cancel_and_cleanup_through_the_port(tmp_path: Path, flows: Path) -> None:
    path = write(flows, seconds="30", cleanup="never")
    async with opened(client_of(tmp_path, flows)) as client:
        await client.snapshot(page=10)
        run_id = await client.run(str(path), {})
        await followed(client, run_id, lambda view: bool(view.steps["slow"].attempts))
        with pytest.raises(UsageError, match="still"):
            await client.retry(run_id, RetryScope())
        await client.cancel(run_id)
        async with asyncio.timeout(20):
            while (await client.runs(limit=1, before=None, workflow=None))[0].status != "cancelled":
                await asyncio.sleep(0.05)
        kept = await client.kept_agents(run_id)
        assert len(kept) >= 4, "its policy is never to clean up"
        gone = await client.cleanup([kept[0].name])
        assert gone == (kept[0].name,)
        assert {agent.name for agent in await client.kept_agents()} == {agent.name for agent in kept[1:]}
        with pytest.raises(UsageError, match="not a kept agent"):
            await client.cleanup([kept[0].name])
        again = await client.retry(run_id, RetryScope(only_step="say"))
        events = await client.run_events(again, after=0, limit=100)
        assert events[0].data["retry_of"] == run_id


async def test_a_save_reaches_the_port(tmp_path: Path, flows: Path) -> None:
    path = write(flows)
    async with opened(client_of(tmp_path, flows)) as client:
        await client.snapshot(page=10)
        changes = aiter(client.workflow_changes())
        coming = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        path.write_text("name: flow\nsteps: oops\n")
        (entry,) = await coming
        assert entry.runnable, "the last good version stays"
        assert [(problem.line, problem.column) for problem in entry.problems] == [(2, 8)]
        await changes.aclose()  # type: ignore[attr-defined]


async def test_a_home_in_use_is_refused_with_the_engines_own_words(tmp_path: Path, flows: Path) -> None:
    async with opened(client_of(tmp_path, flows)):
        second = client_of(tmp_path, flows)
        with pytest.raises(UnavailableError) as refused:
            await second.open()
        await second.close()
        assert f"in use by process {os.getpid()}" in str(refused.value)


async def test_the_app_runs_a_workflow_from_the_keyboard(tmp_path: Path, flows: Path) -> None:
    write(flows)
    client = client_of(tmp_path, flows)
    app = DashboardApp(client, flows)
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: app.facts is not None)
            await until_seen(pilot, "No runs yet.")
            await pilot.press("r")
            await until_seen(pilot, "What is said.")
            await pilot.press("enter")
            await until_seen(pilot, "partial")
            assert "3/3 steps" in on_screen(app)
            run_screen(app).steps.action_cursor_first()
            await until_seen(pilot, "▎ careful")
            await pilot.press("escape")
            await until(pilot, lambda: home(app).runs.keys)
            flows.joinpath("other.yaml").write_text("name: other\nsteps: []\n")
            await until_seen(pilot, "cannot load")
            await pilot.press("q")
            await until(pilot, lambda: app.return_value == 0)
    finally:
        await client.close()


async def test_the_menu_runs_a_workflow_on_the_real_engine_and_tells_its_command(
    tmp_path: Path, flows: Path
) -> None:
    flows.joinpath("plain.yaml").write_text("name: plain\nsteps:\n  - {id: only, command: ['true']}\n")
    client = client_of(tmp_path, flows)
    app = DashboardApp(client, flows)
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: len(app.feed.workflows) == 1)
            await pilot.press("colon", *"run", "space", *"plain")
            await until_seen(pilot, "Run plain")
            await pilot.press("enter")
            await until_seen(pilot, "✓ completed")
            (run_id,) = app.feed.rows
            await until_seen(pilot, f"{run_id} › only")
            assert app.last_command == app.twins.run(str(flows / "plain.yaml"))
            assert client.slots()[0] == 0, "its place was given back"
    finally:
        await client.close()


GATED = """
name: gated
steps:
  - {id: ask, type: approval, approval: {message: "Ship it?"}}
  - {id: inner, type: subworkflow, sub_workflow_name: flow, inputs: {names: [], word: bye}}
finally:
  - {id: tidy, command: ["true"]}
"""


async def test_a_gate_is_answered_and_a_child_run_opened_in_the_app(tmp_path: Path, flows: Path) -> None:
    write(flows)
    flows.joinpath("gated.yaml").write_text(GATED)
    client = client_of(tmp_path, flows)
    app = DashboardApp(client, flows)
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: len(app.feed.workflows) == 2)
            run_id = await client.run(str(flows / "gated.yaml"), {})
            app.open_run(run_id)
            await until_seen(pilot, "asks: Ship it?")
            with pytest.raises(UsageError, match="does not wait"):
                await client.answer_gate(run_id, "inner", approved=True, comment="")
            await pilot.press("a")
            await until_seen(pilot, "Not now")
            await pilot.press("right", "enter")
            await until_seen(pilot, "✓ completed")
            view = app.feed.views[run_id]
            assert view.steps["ask"].result["approved"] is True
            assert view.steps["ask"].result["by"] == "dashboard"
            assert view.steps["tidy"].role == "finally"
            child = view.steps["inner"].child_run
            run_screen(app).steps.select(RowKey("inner"))
            await pilot.press("enter")
            await until(pilot, lambda: run_screen(app).run_id == child)
            await until_seen(pilot, "part of inner of run")
            await until(pilot, lambda: run_screen(app).view is not None)
            await pilot.press("escape", "escape")
            await until(pilot, lambda: home(app))
            assert [row.id for row in app.feed.runs_of(None)] == [run_id]
    finally:
        await client.close()


BROKEN_FLOW = """
name: flow
steps:
  - id: say
    command: "echo once >> CALLS; echo '{\\"said\\": 1}'"
  - id: parse
    command: "exit 3"
"""


def status_of(app: DashboardApp) -> str:
    """The status of the run on screen."""
    view = run_screen(app).view
    return view.status.value if view is not None else ""


async def test_a_file_is_edited_and_run_again_from_the_failed_step(
    tmp_path: Path, flows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, calls = flows / "flow.yaml", tmp_path / "calls"
    file.write_text(BROKEN_FLOW.replace("CALLS", str(calls)))
    editor = tmp_path / "vi"
    editor.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nsed -i "s/exit 3/echo parsed/" {file}\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", "")
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.setattr(DashboardApp, "suspend", lambda app: contextlib.nullcontext())
    client = client_of(tmp_path, flows)
    app = DashboardApp(client, flows)
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until_seen(pilot, "never run")
            await pilot.press("r")
            await until(pilot, lambda: status_of(app) == "failed")
            first = run_screen(app).run_id
            run_screen(app).steps.select(RowKey("parse"))
            await pilot.press("e")
            await until_seen(pilot, "changed: command")
            assert (tmp_path / "asked").read_text() == f"+6 {file}\n", "the editor opens at the step"
            await until_seen(pilot, "1 step to run, 1 result taken over")
            await until_seen(pilot, "~ parse: command exit 3 → echo parsed")
            await pilot.press("enter")
            await until(pilot, lambda: run_screen(app).run_id != first)
            await until(pilot, lambda: status_of(app) == "completed")
            view = run_screen(app).view
            assert view is not None
            assert (view.retry_of, view.steps["say"].reused, view.steps["parse"].reused) == (
                first,
                True,
                False,
            )
            assert calls.read_text() == "once\n", "what was not changed did not run again"
            await pilot.press("1")
            file.write_text(file.read_text().replace("echo parsed", "echo {{ $.x"))
            await until_seen(pilot, "The last good version is kept.")
            await until_seen(pilot, "7 ┊     command:")
    finally:
        await client.close()


async def test_history_figures_and_profiles_through_the_port(tmp_path: Path, flows: Path) -> None:
    path = write(flows)
    async with opened(client_of(tmp_path, flows)) as client:
        await client.snapshot(page=10)
        first = await client.run(str(path), {"word": "whales"})
        await followed(client, first, over)
        page = await client.list_runs(RunFilter(text="whales", workflow="flow"), limit=10, before=None)
        assert [(row.id, row.steps, row.source) for row in page.rows] == [(first, 3, "dashboard")]
        assert page.before is None and await client.count_runs() == 1
        assert (await client.list_runs(RunFilter(text="!whales"), limit=10, before=None)).rows == ()
        quick = await client.figures(None, None, details=False)
        assert quick.overall.by_status == {"partially_completed": 1}
        assert not quick.overall.step_figures
        whole = await client.figures("flow", None, details=True)
        assert {step.step_id for step in whole.overall.step_figures} == {"say", "greet", "slow"}
        found = await client.profile(first)
        assert found.workflow == "flow" and not found.live and found.path
        assert set(await client.disk_use([first])) == {first}
        await client.delete_runs([first])
        assert await client.count_runs() == 0
        with pytest.raises(UsageError, match="no run"):
            await client.profile(first)
