"""The tabs of the details pane: what they say of a step."""

from __future__ import annotations

from agentainer_tui.widgets.details_pane import TABS
from tests.tui.driving import on_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.inspecting import details_of, inspected, on_row
from tests.tui.scenes import HELLO, counting, failed
from tests.tui.story import Story, node


async def test_output_has_status_warnings_and_the_result_as_a_tree() -> None:
    async with details_of(inspected(), "make", "output") as (app, pilot, _):
        await until_seen(pilot, "Result  {4}")
        text = on_screen(app)
        assert "completed" in text
        assert "2 tries" in text
        assert "it took rather long" in text
        assert "numbers: [5,000]" in text


async def test_input_is_what_the_container_finds_in_its_input() -> None:
    async with details_of(counting(), "count", "input", item=1) as (_, pilot, _):
        await until_seen(pilot, "_map_index: 1")
        await until_seen(pilot, 'item: "b.txt"')
        await until_seen(pilot, "files: [2]")


async def test_input_of_a_reduce_step_has_the_results_of_its_map() -> None:
    story = Story().create([node("m", type="map"), node("r", "m", type="reduce")]).start().step_start("m")
    story.expand("m", ["a", "b"]).run_step("m", item=0, result=1)
    story.step_start("m", 1).attempt("m", 1, 1).attempt_end("m", 1, 1, status="failed", error="no")
    story.step_end("m", "failed", item=1, error="no", reason="task_failed")
    found = [{"index": 1, "reason": "task_failed", "error": "no"}]
    story.step_end("m", changes={"set": {"m_results": [1, None], "m_errors": found}})
    story.run_step("r")
    async with details_of(story, "r", "input") as (app, pilot, _):
        await until_seen(pilot, "_map_results: [2]")
        assert "_map_errors: [1]" in on_screen(app)
        assert 'step: "m"' in on_screen(app)


async def test_state_shows_what_the_step_changed_and_what_the_run_has_now() -> None:
    async with details_of(inspected(), "make", "state") as (app, pilot, _):
        await until_seen(pilot, "Changed by this step  1 added, 1 changed, 1 removed")
        text = on_screen(app)
        assert "~   count: 1 → 2" in text
        assert "+ ▾ new: {1}" in text
        assert "-   old: true" in text
        assert "= ▸ 2 unchanged" in text
        assert "State of the run now" in text


async def test_env_has_templates_as_they_came_out_and_no_secret() -> None:
    async with details_of(inspected(), "make", "env") as (app, pilot, _):
        await until_seen(pilot, "From the step")
        text = " ".join(on_screen(app).split())
        assert "WHO Ann from {{ $.name }}" in text
        assert "API_TOKEN *** masked" in text
        assert "DB_PASSWORD *** masked" in text
        assert "FROM_FILE *** not kept in the history" in text
        assert "TASK_ID task-make-2" in text
        assert "WORKFLOW_TEAM docs" in text
        assert "REDIS_PASSWORD ***" in text


async def test_env_of_an_item_has_its_own_variables_and_an_old_run_says_that_none_are_known() -> None:
    story = counting()
    async with details_of(story, "count", "env", item=1) as (_, pilot, _):
        await until_seen(pilot, "The history does not tell the variables of this step.")
    plan = story.events[0].data["plan"]
    plan[1]["agent"] = {"env": {}}
    async with details_of(story, "count", "env", item=1) as (app, pilot, _):
        await until_seen(pilot, "MAP_INDEX")
        text = " ".join(on_screen(app).split())
        assert "MAP_INDEX 1" in text
        assert 'MAP_ITEM "b.txt"' in text


async def test_agent_has_what_it_is_made_with_where_it_was_placed_and_what_it_used() -> None:
    async with details_of(inspected(), "make", "agent") as (app, pilot, _):
        await until_seen(pilot, "agent-make-2")
        text = " ".join(on_screen(app).split())
        for words in (
            "image busybox:1",
            "image id sha256:abab",
            "command run it",
            "network lab",
            "mount ./data → /data read-only",
            "limits 0.5 CPUs, 64.0 MiB of memory",
            "pool warm",
            "placed on warm-1 run by its shell, its task number 3",
            "exit code 0",
            "CPU time 1.2s",
            "memory 3.0 MiB at most",
            "it may have been more",
        ):
            assert words in text, words


async def test_an_agent_that_still_exists_is_described_by_its_backend() -> None:
    story = failed()
    client = FakeClient([HELLO], [story])
    client.agents["agent-send-2"] = {
        "state": {"status": "exited", "exit_code": 7},
        "image": {"id": "sha256:beef", "digests": ["busybox@sha256:dead"]},
        "networks": {"agentainer-network": "172.20.0.3"},
        "mounts": [{"Source": "/srv/data", "Destination": "/data", "RW": False}],
        "config": {"Env": ["PATH"]},
    }
    async with details_of(story, "send", "agent", client=client) as (app, pilot, details):
        await until_seen(pilot, "172.20.0.3")
        text = " ".join(on_screen(app).split())
        assert "state exited kept for inspection" in text
        assert "digest busybox@sha256:dead" in text
        assert "mount /srv/data → /data read-only" in text
        await on_row(pilot, details.sheet_pane.sheet, "What the backend says of it")
        await pilot.press("enter")
        await until_seen(pilot, "config: {1}")
        assert client.calls.count(("describe_agent", "agent-send-2")) == 1


async def test_attempts_show_where_the_time_of_each_went() -> None:
    async with details_of(inspected(), "make", "attempts") as (app, pilot, _):
        await until_seen(pilot, "try 2")
        text = " ".join(on_screen(app).split())
        assert "try 1 failed exit 137 out of memory" in text
        assert "queue 0.1s start 0.4s run 1.5s" in text
        assert "━━━━" in text
        assert "too large" in text


async def test_events_are_rows_that_open_to_all_of_their_data(copies: list[str]) -> None:
    async with details_of(inspected(), "make", "events") as (app, pilot, details):
        await until_seen(pilot, "step.finished")
        assert "run.created" not in on_screen(app)
        await on_row(pilot, details.sheet_pane.sheet, "step.finished")
        await pilot.press("space")
        await until_seen(pilot, "data: {")
        await pilot.press("l", "y")
        await until(pilot, lambda: copies)
        assert copies[0].isdigit(), "the sequence number of the event"


async def test_events_that_come_are_added_and_what_is_open_stays_open() -> None:
    story = Story().create([node("a"), node("b")]).start().step_start("a")
    client = FakeClient([HELLO], [story])
    async with details_of(story, "a", "events", client=client) as (app, pilot, details):
        await until_seen(pilot, "step.started")
        await pilot.press("enter")
        await until_seen(pilot, 'old: "pending"')
        client.tell(story.attempt("a"))
        await until_seen(pilot, "attempt.started")
        assert 'old: "pending"' in on_screen(app)
        spot = details.sheet_pane.sheet.spot
        assert spot is not None
        assert spot.entry.value["type"] == "step.started"


async def test_tabs_fit_the_narrowest_terminal_and_turn_around() -> None:
    async with details_of(inspected(), "make", "output", size=(80, 24)) as (app, pilot, details):
        await until_seen(pilot, "completed")
        line = next(line for line in on_screen(app).splitlines() if "Output" in line)
        assert [name.capitalize() for name in TABS] == line.strip("│ ").split()
        seen = []
        for _ in TABS:
            await pilot.press("right_square_bracket")
            seen.append(details.tab)
        assert seen == [*TABS[2:], *TABS[:2]]
