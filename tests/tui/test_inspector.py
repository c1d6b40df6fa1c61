"""The tabs of the details pane: what they say of a step, and what can be done in them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from agentainer_tui.app import DashboardApp
from agentainer_tui.widgets.details_pane import TABS, DetailsPane
from agentainer_tui.widgets.sheet import Sheet
from agentainer_tui.widgets.step_list import RowKey
from engine.events import EventType
from tests.tui.driving import dashboard, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import HELLO, counting, failed
from tests.tui.story import Story, node

AGENT = {
    "env": {"WHO": "{{ $.name }}", "MODE": "fast", "API_TOKEN": "***"},
    "secrets": ["DB_PASSWORD"],
    "limits": {"cpus": 0.5, "memory": 64 << 20},
    "network": "lab",
    "volumes": [{"source": "./data", "target": "/data", "read_only": True, "named": False}],
}
RESULT = {
    "files": ["a.txt", "b.txt"],
    "it's odd": {"a b": [10, {"deep": "treasure"}]},
    "text": "first line\nsecond line",
    "numbers": list(range(5_000)),
}


def inspected() -> Story:
    """A run whose first step has something for every tab."""
    story = Story("cafe0cafe0ca")
    story.create(
        [
            node(
                "make", name="Make it", image="busybox:1", command=["run", "it"], max_attempts=2, agent=AGENT
            ),
            node("use", "make", type="reduce"),
        ],
        state={"name": "Ann", "count": 1, "old": True, "same": [1, 2]},
        metadata={"team": "docs"},
        env_files=["FROM_FILE"],
    )
    story.start().step_start("make")
    for number in (1, 2):
        where = ("make", None, number)
        story.say(
            EventType.ATTEMPT_CREATED, *where, task_id=f"task-make-{number}", agent=f"agent-make-{number}",
            backend="docker", image="busybox:1", log=f"x.{number}.log", env={"WHO": "Ann"},
            pool="warm" if number == 2 else None,
        )  # fmt: skip
        story.tick(0.5).say(
            EventType.ATTEMPT_STARTED, *where, old="pending", status="running", agent_id="c0ffee" * 4,
            image_id="sha256:" + "ab" * 32,
            placement={"mode": "shell", "agent": "warm-1", "uses": 3} if number == 2 else None,
        )  # fmt: skip
        story.tick(1.5)
        end: dict[str, Any] = {"phases": {"queue": 0.1, "start": 0.4, "run": 1.5}}
        if number == 1:
            end |= {"status": "failed", "reason": "oom_killed", "exit_code": 137, "error": "too large"}
        else:
            end |= {"exit_code": 0, "usage": {"cpu_seconds": 1.25, "memory_peak": 3 << 20, "sampled": True}}
        story.attempt_end("make", number, **end)
        if number == 1:
            story.retry("make", 1, error="too large", reason="oom_killed").tick(1).step_start("make")
    story.say(EventType.WARNING, "make", message="it took rather long")
    changes = {"set": {"count": 2, "new": {"x": 1}}, "removed": ["old"]}
    return story.step_end("make", result=RESULT, exit_code=0, changes=changes)


@asynccontextmanager
async def details_of(
    story: Story,
    step: str,
    tab: str,
    *,
    item: int | None = None,
    size: tuple[int, int] = (120, 60),
    **more: Any,
) -> AsyncIterator[tuple[DashboardApp, Pilot[int], DetailsPane]]:
    """The run of a story with a step selected, one of its tabs shown and focused."""
    client = more.pop("client", None) or FakeClient([HELLO], [story])
    async with dashboard(client, size=size, **more) as (app, pilot):
        app.open_run(story.run_id)
        await until(pilot, lambda: run_screen(app).steps.keys)
        screen = run_screen(app)
        if item is not None and RowKey(step, item) not in screen.steps.keys:
            screen.steps.select(RowKey(step))
            screen.steps.toggle()
        screen.steps.select(RowKey(step, item) if item is not None else RowKey(step))
        await until(pilot, lambda: screen.details.selection[0] is not None)
        await pilot.pause()
        screen.details.go(tab)
        screen.details.focus_view()
        await until(pilot, lambda: isinstance(app.focused, Sheet))
        yield app, pilot, screen.details


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the clipboard."""
    found: list[str] = []

    def copy(app: Any, text: str, otherwise: str = "") -> str:
        found.append(text)
        return "to the clipboard"

    monkeypatch.setattr("agentainer_tui.widgets.sheet_pane.copy", copy)
    return found


def row_of(sheet: Sheet, text: str) -> int:
    from agentainer_tui.inspector.drawing import draw, plain_text

    tree = sheet.tree_shown
    return next(n for n in range(len(tree)) if text in plain_text(draw(tree.row(n), sheet.glyphs)))


async def on_row(pilot: Pilot[int], sheet: Sheet, text: str) -> None:
    """Move the cursor, by keys, to the first row with a text."""
    await pilot.press("g", *["j"] * row_of(sheet, text))
    assert sheet.cursor_row == row_of(sheet, text)


# -- what the tabs say --------------------------------------------------------------------------------


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


# -- what can be done ---------------------------------------------------------------------------------


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
