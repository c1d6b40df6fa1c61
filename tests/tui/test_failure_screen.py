"""The failure cockpit: a badge that steals nothing, a key to the reason, and what can be done there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentainer_tui.client import RunFile
from agentainer_tui.log_source import LogLine
from agentainer_tui.screens.failure import FailureScreen
from agentainer_tui.screens.retry import RetryDialog
from engine.agents.shells import Shell
from tests.tui.driving import dashboard, home, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import COUNT, HELLO, counting, failed, finished
from tests.tui.story import Story, node

PLAN = [node("get"), node("map", "get", type="map", image="app:1"), node("send", "map")]


def good() -> Story:
    """A run that went well."""
    story = Story("600d600d600d", first_seq=10).create(PLAN, workflow="count", params={"limit": 2})
    story.start().run_step("get", 1, result={"files": 3}).step_start("map").expand("map", ["a"])
    story.run_step("map", 1.0, item=0).step_end("map").run_step("send", 1.5)
    return story.finish()


def bad(run_id: str = "bad1bad1bad1", first_seq: int = 1000) -> Story:
    """A run whose map has failed for two reasons."""
    story = Story(run_id, first_seq=first_seq)
    story.create(PLAN, workflow="count", params={"limit": 3}, path="/w/count.yaml")
    story.start().run_step("get", 1, result={"files": 5}).step_start("map").expand("map", list(range(9)))
    for item in range(9):
        story.step_start("map", item).attempt("map", 1, item).tick(0.1)
        slow = item % 3 == 0
        why = {"reason": "timed_out"} if slow else {"reason": "task_failed", "exit_code": 1}
        error = "no answer within 30 s" if slow else f"cannot reach 10.0.0.{item}"
        story.attempt_end("map", 1, item, status="failed", kept=True, **why)
        story.step_end("map", "failed", item, error=error, **why)
    story.step_end("map", "failed", reason="task_failed", error="9 of 9 items failed")
    story.step_end("send", "skipped", reason="upstream_failed")
    return story.finish("failed", reason="task_failed", error="step `map` failed")


def said(*texts: str, stream: str = "stderr") -> list[LogLine]:
    return [LogLine("2026-01-01T12:00:00Z", stream, text) for text in texts]


def cockpit(app: Any) -> FailureScreen:
    assert isinstance(app.screen, FailureScreen), app.screen
    return app.screen


async def test_a_failure_is_a_badge_and_takes_neither_screen_nor_focus() -> None:
    client = FakeClient([HELLO, COUNT])
    async with dashboard(client) as (app, pilot):
        focused = app.focused
        story = bad()
        client.tell(story)
        await until_seen(pilot, "! 1 failed")
        assert home(app) and app.focused is focused
        client.tell(failed())
        await until_seen(pilot, "! 2 failed")
        await pilot.press("4")
        await until_seen(pilot, "! 2 failed")


async def test_an_item_that_fails_is_told_while_the_run_goes_on() -> None:
    client = FakeClient([COUNT])
    async with dashboard(client) as (app, pilot):
        story = Story("a" * 12).create(PLAN, workflow="count").start().run_step("get")
        story.step_start("map").expand("map", [1, 2]).step_start("map", 0).attempt("map", 1, 0)
        client.tell(story)
        await until_seen(pilot, "1 running")
        story.attempt_end("map", 1, 0, status="failed").step_end("map", "failed", 0, reason="task_failed")
        client.tell(story)
        await until_seen(pilot, "! 1 failed")
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: cockpit(app).case is not None)
        assert cockpit(app).check_action("retry", ()) is False, "it is not over"


async def test_a_run_that_is_over_names_the_key_that_tells_of_its_failures() -> None:
    fine, broken = good(), bad()
    async with dashboard(FakeClient([COUNT], [fine, broken])) as (app, pilot):
        app.open_run(broken.run_id)
        await until_seen(pilot, "! shows why")
        app.open_run(fine.run_id)
        await until_seen(pilot, fine.run_id)
        assert "! shows why" not in on_screen(app)


async def test_the_key_leads_to_the_newest_failure_with_its_reason_last_lines_and_changes() -> None:
    client = FakeClient([COUNT], [good()])
    client.documents = {"d": "a: 1\n"}
    client.write_log("map", said("looking", stream="stdout"), item=1)
    client.write_log("map", said("Traceback", "[red]OSError\x1b[31m: unreachable"), item=1)
    async with dashboard(client) as (app, pilot):
        client.tell(bad())
        await until_seen(pilot, "! 1 failed")
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "9 of 9 items failed")
        text = on_screen(app)
        assert "6 ×" in text and "3 ×" in text and "2 causes" in text
        assert ", item 1 failed: " in text
        await until_seen(pilot, "OSError")
        assert "looking" not in on_screen(app), "standard error is what counts"
        await until_seen(pilot, "param limit  2 → 3")
        assert "result of get" in on_screen(app)
        assert "failed  " not in on_screen(app).splitlines()[0], "it is seen now"


async def test_another_cause_tells_of_its_first_item() -> None:
    client = FakeClient([COUNT])
    client.write_log("map", said("slow"), item=0)
    client.write_log("map", said("unreachable"), item=1)
    async with dashboard(client) as (app, pilot):
        client.tell(bad())
        await until_seen(pilot, "! 1 failed")
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "unreachable")
        await pilot.press("down")
        await until_seen(pilot, "slow")
        case = cockpit(app).case
        assert case is not None and case.item is not None and case.item.index == 0
        await until_seen(pilot, "This workflow has not completed before")


async def test_back_and_step_lead_to_the_step_in_its_run() -> None:
    client = FakeClient([COUNT])
    async with dashboard(client) as (app, pilot):
        client.tell(bad())
        await until_seen(pilot, "! 1 failed")
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: cockpit(app).case is not None)
        await pilot.press("escape")
        await until(pilot, lambda: run_screen(app).steps.key == ("map", None))
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "items failed")
        await pilot.press("down", "o")
        await until(pilot, lambda: run_screen(app).steps.key == ("map", 0))
        await pilot.press("escape")
        await until(pilot, lambda: home(app))


async def test_a_pane_is_given_all_the_room_and_back() -> None:
    client = FakeClient([COUNT], [good()])
    client.write_log("map", said("unreachable"), item=1)
    async with dashboard(client, size=(80, 24)) as (app, pilot):
        client.tell(bad())
        await until_seen(pilot, "! 1 failed")
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "unreachable")
        await pilot.press("tab", "tab", "tab", "z")
        await until(pilot, lambda: "unreachable" not in on_screen(app) and "param limit" in on_screen(app))
        await pilot.press("escape")
        await until_seen(pilot, "unreachable")
        assert cockpit(app)


async def test_next_goes_through_all_failures() -> None:
    client = FakeClient([COUNT, HELLO])
    async with dashboard(client) as (app, pilot):
        client.tell(failed())
        client.tell(bad())
        await until_seen(pilot, "! 2 failed")
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "failure 1 of 2")
        assert cockpit(app).failure.run_id == "bad1bad1bad1", "the newest first"
        await pilot.press("n")
        await until_seen(pilot, "failure 2 of 2")
        assert cockpit(app).failure.run_id == "bad0bad0bad0"
        await pilot.press("N")
        await until_seen(pilot, "failure 1 of 2")
        assert not app.feed.failures.unseen


async def test_the_badge_is_clicked_too() -> None:
    client = FakeClient([COUNT])
    async with dashboard(client) as (app, pilot):
        client.tell(bad())
        await until_seen(pilot, "! 1 failed")
        at = on_screen(app).splitlines()[0].index("! 1 failed")
        await pilot.click(offset=(at + 2, 0))
        await until(pilot, lambda: cockpit(app))


async def test_without_failures_the_key_says_so_and_before_the_app_ones_are_found() -> None:
    async with dashboard(FakeClient([HELLO], [finished("f" * 12, 1)])) as (app, pilot):
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "Nothing has failed.")
        assert home(app)
    async with dashboard(FakeClient([HELLO], [failed()])) as (app, pilot):
        assert "! 1 failed" not in on_screen(app), "it is no news"
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "exit code 7")
        assert "refused by the server" in on_screen(app)
        assert "try 2 of 2" in on_screen(app)


async def test_without_news_the_key_tells_of_the_run_in_sight() -> None:
    old = bad("01d001d001d0", 100)
    async with dashboard(FakeClient([COUNT, HELLO], [old, failed()])) as (app, pilot):
        app.open_run("01d001d001d0", "map")
        await until(pilot, lambda: run_screen(app).steps.key == ("map", None))
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "9 of 9 items failed")
        assert cockpit(app).failure.run_id == "01d001d001d0", "and not of the newest"


async def test_who_has_looked_at_the_run_has_seen_its_failures() -> None:
    client = FakeClient([COUNT])
    async with dashboard(client) as (app, pilot):
        client.tell(bad())
        await until_seen(pilot, "! 1 failed")
        app.open_run("bad1bad1bad1")
        await until_seen(pilot, "! 1 failed")
        await pilot.press("escape")
        await until(pilot, lambda: home(app) and "! 1 failed" not in on_screen(app))


async def test_the_report_is_copied_as_markdown() -> None:
    client = FakeClient([COUNT], [good()])
    client.write_log("map", said("unreachable"), item=1)
    async with dashboard(client) as (app, pilot):
        client.tell(bad())
        await until_seen(pilot, "! 1 failed")
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "unreachable")
        await until_seen(pilot, "param limit")
        await pilot.press("y")
        await until_seen(pilot, "The report is copied")
        assert app.clipboard.startswith("## `count`: step `map`, item 1 failed: exit code 1")
        assert "unreachable" in app.clipboard and "param limit: `2` → `3`" in app.clipboard
        assert "agentainer retry bad1bad1bad1 --from map" in app.clipboard


async def test_the_report_is_written_into_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    client = FakeClient([COUNT])
    async with dashboard(client) as (app, pilot):
        client.tell(bad())
        await until_seen(pilot, "! 1 failed")
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: cockpit(app).case is not None)
        await pilot.press("E")
        await until(pilot, lambda: list(tmp_path.iterdir()))
        await until_seen(pilot, "The report is in")
        (file,) = tmp_path.iterdir()
        assert file.name == "failure-count-bad1ba.md"
        assert file.read_text().startswith("## `count`")


async def test_shell_retry_and_edit_are_keys_away(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient([COUNT])
    client.shells["agent-map-1"] = Shell("agent-map-1", ("true",))
    monkeypatch.setattr("agentainer_tui.flows.entering._run", lambda app, shell: None)
    edited: list[tuple[str, int]] = []
    client.file, client.lines = RunFile("/w/count.yaml", "another"), {"map": 12}
    monkeypatch.setattr(
        "agentainer_tui.flows.editing.open_editor", lambda app, path, line: edited.append((path, line))
    )
    async with dashboard(client) as (app, pilot):
        client.tell(bad())
        await until_seen(pilot, "! 1 failed")
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: cockpit(app).case is not None)
        await pilot.press("s")
        await until(pilot, lambda: ("close_shell", "agent-map-1") in client.calls)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, RetryDialog))
        assert edited == [("/w/count.yaml", 12)], "at the step that failed; a changed file may be run again"
        await pilot.press("escape")
        await until(pilot, lambda: cockpit(app))
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, RetryDialog))
        await pilot.press("escape")
        await until(pilot, lambda: cockpit(app))


async def test_the_failure_of_a_child_run_is_told_from_within() -> None:
    inner = Story("c" * 12, first_seq=2000)
    parent = {"run_id": "p" * 12, "step_id": "inner", "item": None, "attempt": 1}
    inner.create([node("deep")], workflow="child", parent=parent).start().step_start("deep").attempt("deep")
    inner.attempt_end("deep", status="failed", exit_code=9)
    inner.step_end("deep", "failed", reason="task_failed", exit_code=9, error="too deep").finish("failed")
    outer = Story("p" * 12, first_seq=1000).create([node("inner", type="subworkflow")], workflow="parent")
    outer.start().step_start("inner").child("inner", "c" * 12)
    outer.attempt_end("inner", status="failed").step_end("inner", "failed", reason="sub_workflow_failed")
    outer.finish("failed", reason="sub_workflow_failed")
    client = FakeClient([COUNT])
    async with dashboard(client) as (app, pilot):
        client.tell(outer, inner)
        await until_seen(pilot, "! 1 failed")
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "too deep")
        assert "exit code 9" in on_screen(app)
        await pilot.press("o")
        await until(pilot, lambda: run_screen(app).run_id == "c" * 12)


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (120, 40), (200, 60)])
async def test_it_fits_every_size_whatever_the_texts_are(size: tuple[int, int]) -> None:
    hostile = "[/x]\x1b[31m" + "y" * 5_000
    story = Story("e" * 12).create([node("a", name=hostile, image=hostile)], workflow=hostile, path=hostile)
    story.start().step_start("a").attempt("a").attempt_end("a", status="failed", exit_code=1)
    story.step_end("a", "failed", reason="task_failed", error=hostile).finish("failed")
    client = FakeClient([COUNT], [counting()])
    client.write_log("a", said(*[hostile] * 50))
    async with dashboard(client, size=size) as (app, pilot):
        client.tell(story)
        await until(pilot, lambda: app.feed.failures.unseen)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: cockpit(app).case is not None)
        await pilot.press("end", "pageup", "tab", "y")
        assert "\x1b" not in on_screen(app)
        assert all(len(row) <= size[0] for row in on_screen(app).splitlines())
