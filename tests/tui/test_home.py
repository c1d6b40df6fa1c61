from __future__ import annotations

from agentainer_tui.client import EngineFacts, WorkflowEntry
from agentainer_tui.widgets.workflow_list import ALL
from engine.errors import Problem, UnavailableError
from tests.tui.driving import dashboard, home, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import BROKEN, COUNT, HELLO, counting, failed, finished


async def test_workflows_show_their_last_result_and_what_cannot_load() -> None:
    client = FakeClient([BROKEN, COUNT, HELLO], [finished("aa", 1), failed(), counting()])
    async with dashboard(client) as (app, pilot):
        await until_seen(pilot, "cannot load")
        lines = {line.split()[1]: line for line in on_screen(app).splitlines() if len(line.split()) > 2}
        assert "running" in lines["count"]
        assert "failed" in lines["hello"], "the newest run counts, not the first"
        assert "9:5" in on_screen(app)
        assert "step `sum` depends on" in on_screen(app), "the broken workflow is first, so it is described"


async def test_the_header_says_where_agents_run_and_what_is_missing() -> None:
    note = "no Docker engine: running as local processes; limits are not enforced"
    client = FakeClient([HELLO], facts=EngineFacts("local processes", "Redis 7.0 of our own", (note,)))
    async with dashboard(client, size=(80, 24)) as (app, pilot):
        assert note in on_screen(app)
        assert "local processes" in on_screen(app)
        assert "local processes ·" not in on_screen(app), "what there is no room for is left out whole"
        await pilot.resize_terminal(120, 40)
        await until_seen(pilot, "local processes · Redis 7.0 of our own")


async def test_enter_on_a_file_that_cannot_be_loaded_says_what_to_do_and_runs_nothing() -> None:
    client = FakeClient([BROKEN])
    async with dashboard(client) as (_, pilot):
        await until_seen(pilot, "cannot load")
        await pilot.press("enter")
        await until_seen(pilot, "This file cannot be run yet")
        assert not [call for call in client.calls if call[0] == "run"]


async def test_an_empty_directory_says_what_to_do() -> None:
    async with dashboard(FakeClient()) as (_, pilot):
        await until_seen(pilot, "No workflows here yet.")
        await until_seen(pilot, "put a YAML file into this directory")


async def test_runs_belong_to_the_selected_workflow_or_to_all() -> None:
    client = FakeClient([COUNT, HELLO], [finished("aa11", 1), failed(), counting()])
    async with dashboard(client) as (app, pilot):
        await until(pilot, lambda: home(app).runs.keys == ["a1b2c3d4e5f6"])
        await pilot.press("j")
        await until(pilot, lambda: home(app).runs.keys == ["bad0bad0bad0", "aa11"])
        await pilot.press("g")
        assert home(app).workflows.key == ALL
        await until(pilot, lambda: home(app).runs.keys == ["a1b2c3d4e5f6", "bad0bad0bad0", "aa11"])


async def test_a_run_that_starts_appears_at_once_and_moves_on_by_events() -> None:
    client = FakeClient([COUNT])
    async with dashboard(client) as (app, pilot):
        await until_seen(pilot, "never run")
        story = counting()
        client.tell(story)
        await until(pilot, lambda: home(app).runs.keys == [story.run_id])
        await until_seen(pilot, "running")
        story.step_end("count").run_step("sum").finish("partially_completed")
        client.tell(story)
        await until_seen(pilot, "partial")


async def test_workflows_and_runs_are_filtered_each_by_its_own_text() -> None:
    client = FakeClient([BROKEN, COUNT, HELLO], [finished("aa11", 1), failed(), counting()])
    async with dashboard(client) as (app, pilot):
        await until_seen(pilot, "cannot load")
        await pilot.press("slash", *"says")
        await until(pilot, lambda: home(app).workflows.keys == [ALL, HELLO.path])
        await pilot.press("enter", "down")
        await until(pilot, lambda: home(app).runs.keys == ["bad0bad0bad0", "aa11"])
        home(app).runs.focus()
        await pilot.press("slash", *"!failed", "enter")
        await until(pilot, lambda: home(app).runs.keys == ["aa11"])
        await pilot.press("escape")
        await until(pilot, lambda: len(home(app).runs.keys) == 2)
        home(app).workflows.focus()
        await pilot.press("escape")
        await until(pilot, lambda: len(home(app).workflows.keys) == 4)


async def test_bars_of_the_last_runs_stand_beside_each_workflow() -> None:
    stories = [finished(f"run{number:04d}", number * 100) for number in range(1, 31)]
    client = FakeClient([HELLO], [*stories, failed(first_seq=9000)])
    async with dashboard(client, size=(140, 30)) as (app, pilot):
        await until(pilot, lambda: home(app).runs.keys)
        row = next(line for line in on_screen(app).splitlines() if "hello" in line and "failed" in line)
        assert "▁" * 19 + "█" in row


async def test_a_save_changes_the_list_and_keeps_the_cursor_on_its_workflow() -> None:
    client = FakeClient([COUNT, HELLO])
    async with dashboard(client) as (app, pilot):
        await pilot.press("j")
        assert home(app).workflows.entry == HELLO
        bad = WorkflowEntry(
            HELLO.path, "hello", steps=("hi",), problems=(Problem(HELLO.path, 3, 7, "unknown key `comand`"),)
        )
        client.save(BROKEN, COUNT, bad)
        await until_seen(pilot, "bad save")
        assert home(app).workflows.entry == bad
        await until_seen(pilot, "3:7")
        await until_seen(pilot, "The last good version is kept")
        client.save(BROKEN, COUNT)
        await until(pilot, lambda: home(app).workflows.entry is not None)
        await until(pilot, lambda: "hello" not in on_screen(app))


async def test_enter_opens_the_last_run_and_escape_comes_back() -> None:
    client = FakeClient([HELLO], [finished("aa11", 1), failed()])
    async with dashboard(client) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is not None and "send" in on_screen(app))
        assert run_screen(app).run_id == "bad0bad0bad0"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, type(home(app))))


async def test_the_history_is_read_page_by_page_as_the_cursor_goes_down() -> None:
    stories = [finished(f"run{number:04d}", number * 100) for number in range(1, 251)]
    client = FakeClient([HELLO], stories)
    async with dashboard(client) as (app, pilot):
        await pilot.press("g", "tab")
        assert home(app).runs.has_focus
        await until(pilot, lambda: len(home(app).runs.keys) == 100)
        await pilot.press("G")
        await until(pilot, lambda: len(home(app).runs.keys) == 200)
        await pilot.press("G")
        await until(pilot, lambda: len(home(app).runs.keys) == 250)
        await pilot.press("G")
        assert home(app).runs.key == "run0001"
        pages = [call for call in client.calls if call[0] == "runs" and call[3] is None]
        assert [page[2] for page in pages] == [15_100, 5_100], "each page begins where the last one ended"


async def test_an_engine_that_cannot_start_ends_the_app_with_its_exit_code() -> None:
    error = UnavailableError("another engine holds this home (pid 7)", hint="use --home")
    async with dashboard(FakeClient(broken=error)) as (app, _):
        assert app.failure is error
        assert app.return_code == 4
