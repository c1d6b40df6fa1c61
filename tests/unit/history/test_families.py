"""Runs that belong together or wait: children, retries, schedules, queues, handlers, gates."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from engine.clock import isoformat
from engine.events import EventType
from engine.history.journal import Journal
from engine.history.reader import Reader
from engine.history.records import ParentRecord
from tests.unit.history.story import Story


def child_of(run_id: str, step: str = "one", **more: Any) -> dict[str, Any]:
    return {"run_id": run_id, "step_id": step, "attempt": 1, **more}


async def test_a_child_and_its_parent_lead_to_each_other(journal: Journal, reader: Reader) -> None:
    story = Story("aaaa")
    await journal.record(
        story.created("one"),
        story.run("pending", "running"),
        story.step("one", "pending", "running"),
        story.attempt_created("one", child_run="bbbb", agent="", log=""),
    )
    await journal.record(*Story("bbbb").whole(parent=child_of("aaaa", item=3, way="big")))
    await journal.record(*Story("cccc").whole(parent=child_of("bbbb")))
    [child] = await reader.children("aaaa")
    assert child.id == "bbbb" and child.parent == ParentRecord("aaaa", "one", 1, 3, "big")
    # Only those of its own steps; their own children are theirs.
    assert [run.id for run in await reader.children("bbbb")] == ["cccc"]
    assert await reader.children("cccc") == []
    assert (await reader.run("aaaa")).parent is None
    detail = await reader.detail("aaaa")
    [attempt] = detail.steps[0].attempts
    assert attempt.child_run == "bbbb"


async def test_children_are_left_out_of_lists_on_demand_and_are_never_the_last_run(
    journal: Journal, reader: Reader
) -> None:
    await journal.record(*Story("aaaa").whole())
    await journal.record(*Story("bbbb").whole(parent=child_of("aaaa")))
    await journal.record(*Story("cccc").whole(workflow="other"))
    await journal.record(*Story("dddd").whole(parent=child_of("cccc")))
    assert [run.id for run in await reader.runs()] == ["dddd", "cccc", "bbbb", "aaaa"]
    assert [run.id for run in await reader.runs(children=False)] == ["cccc", "aaaa"]
    assert [run.id for run in await reader.runs(children=False, workflow="demo")] == ["aaaa"]
    assert [run.id for run in await reader.runs(children=False, limit=1)] == ["cccc"]
    assert (await reader.run("last")).id == "cccc"
    assert (await reader.run("dd")).id == "dddd"


async def test_the_texts_of_child_workflows_are_kept_once_and_not_in_the_event(
    journal: Journal, reader: Reader
) -> None:
    children = {
        "inner": {"digest": "i", "path": "/w/inner.yaml", "document": "name: inner\n"},
        "inline": {"digest": "j", "document": '{"name": "inline"}'},
    }
    for run_id in ("aaaa", "bbbb"):
        await journal.record(Story(run_id).created(children=children))
    texts = {"inner": ("name: inner\n", "/w/inner.yaml"), "inline": ('{"name": "inline"}', None)}
    assert await reader.children_documents("aaaa") == texts
    assert await reader.children_documents("bbbb") == texts
    assert await reader.children_documents("zzzz") == {}
    [created] = await reader.events("aaaa")
    assert created.data["children"]["inner"]["digest"] == "i"
    assert "name: inner" not in json.dumps(dict(created.data))


async def test_retries_of_a_run_are_found_oldest_first(journal: Journal, reader: Reader) -> None:
    await journal.record(*Story("aaaa").whole(status="failed"))
    await journal.record(*Story("bbbb").whole(retry_of="aaaa", status="failed"))
    await journal.record(*Story("cccc").whole(retry_of="bbbb"))
    await journal.record(*Story("dddd").whole(retry_of="aaaa"))
    assert [run.id for run in await reader.retries("aaaa")] == ["bbbb", "dddd"]
    assert await reader.retries("dddd") == []


async def test_the_newest_time_of_a_schedule_is_that_of_its_own_workflow_whenever_it_was_recorded(
    journal: Journal, reader: Reader
) -> None:
    def at(hour: int) -> str:
        return f"2026-01-01T{hour:02}:00:00.000000Z"

    await journal.record(*Story("aaaa").whole(scheduled_for=at(9)))
    await journal.record(*Story("bbbb").whole(scheduled_for=at(7)))
    await journal.record(*Story("cccc").whole())
    await journal.record(*Story("dddd").whole(workflow="other", scheduled_for=at(11)))
    assert await reader.last_scheduled("demo") == datetime(2026, 1, 1, 9, tzinfo=UTC)
    assert await reader.last_scheduled("never") is None
    assert (await reader.run("bbbb")).scheduled_for == at(7)
    assert (await reader.run("cccc")).scheduled_for is None


async def test_a_queued_run_tells_why_until_it_starts_or_ends(journal: Journal, reader: Reader) -> None:
    started, cancelled = Story("aaaa"), Story("bbbb")
    for story in (started, cancelled):
        await journal.record(story.created(), story.event(EventType.RUN_QUEUED, why="max_active_runs"))
    run = await reader.run("aaaa")
    assert (run.status, run.queued) == ("pending", "max_active_runs")
    await journal.record(started.run("pending", "running"), cancelled.run("pending", "cancelled"))
    assert [(await reader.run(id_)).queued for id_ in ("aaaa", "bbbb")] == [None, None]


async def test_what_a_run_was_settled_as_is_known_before_and_after_its_end(
    journal: Journal, reader: Reader
) -> None:
    story = Story()
    verdict: dict[str, Any] = {
        "status": "failed",
        "reason": "task_failed",
        "error": "no",
        "failed_step": "one",
    }
    await journal.record(
        story.created("one", no_cache=True),
        story.run("pending", "running"),
        story.event(EventType.RUN_SETTLED, **verdict),
    )
    run = await reader.run(story.run_id)
    assert (run.status, run.settled, run.no_cache) == ("running", verdict, True)
    await journal.record(story.run("running", "failed", reason="task_failed"))
    assert (await reader.run(story.run_id)).settled == verdict


async def test_steps_carry_what_the_plan_says_of_their_part_in_the_run(
    journal: Journal, reader: Reader
) -> None:
    routes = [{"label": "big", "targets": ["b"]}, {"label": "small", "targets": [], "workflow": "inner"}]
    plan = [
        {"id": "a", "name": "A", "type": "decision", "ordinal": 0, "routes": routes},
        {"id": "b", "name": "B", "type": "subworkflow", "ordinal": 1, "depends_on": ["a"],
         "trigger": "all_done", "sub_workflow": "inner"},
        {"id": "c", "name": "C", "type": "sequential", "ordinal": 2, "role": "finally"},
    ]  # fmt: skip
    await journal.record(Story().created(plan=plan))
    a, b, c = (await reader.detail("last")).steps
    assert (a.role, a.routes, a.trigger, a.sub_workflow) == ("main", routes, None, None)
    assert (b.role, b.routes, b.trigger, b.sub_workflow) == ("main", None, "all_done", "inner")
    assert c.role == "finally"
    shown = (await reader.detail("last")).to_json()["steps"]
    assert shown[1]["depends_on"] == ["a"] and shown[1]["trigger"] == "all_done"
    assert [step["role"] for step in shown] == ["main", "main", "finally"]
    assert shown[0]["routes"] == routes and shown[1]["sub_workflow"] == "inner"


async def test_a_step_tells_what_it_waits_for_until_it_goes_on(journal: Journal, reader: Reader) -> None:
    story = Story()

    async def waiting() -> Any:
        found = (await reader.step(story.run_id, "one")).waiting
        return found and found["why"]

    def waits() -> Any:
        return story.event(EventType.STEP_WAITING, "one", why="slot")

    await journal.record(story.created("one"), story.run("pending", "running"), waits())
    assert await waiting() == "slot"
    await journal.record(story.step("one", "pending", "running"), story.attempt_created("one"))
    assert await waiting() is None
    # The platform failed before the task ran: the same try waits for a slot again.
    await journal.record(waits())
    assert await waiting() == "slot"
    await journal.record(story.attempt("one", "pending", "running", agent_id="id"))
    assert await waiting() is None
    await journal.record(
        story.attempt("one", "running", "failed"),
        story.step("one", "running", "retrying", delay=1, next_attempt_at="t", error="e"),
        waits(),
    )
    assert await waiting() == "slot"
    await journal.record(story.step("one", "retrying", "cancelled"))
    assert await waiting() is None


async def test_the_start_of_an_item_does_not_end_the_wait_of_its_step(
    journal: Journal, reader: Reader
) -> None:
    story = Story()
    await journal.record(
        story.created("one"),
        story.step("one", "pending", "running"),
        story.expanded("one", 1, 2),
        story.event(EventType.STEP_WAITING, "one", why="slot"),
        story.attempt_created("one", item=0),
        story.attempt("one", "pending", "running", item=0, agent_id="id"),
    )
    waiting = (await reader.step(story.run_id, "one")).waiting
    assert waiting is not None and waiting["why"] == "slot"


async def test_gates_are_found_while_they_wait_in_the_run_and_with_what_they_ask(
    journal: Journal, reader: Reader
) -> None:
    story, other = Story("aaaa"), Story("bbbb")
    for told in (story, other):
        await journal.record(told.created("gate", "pause"), told.run("pending", "running"))
    asked = story.event(EventType.STEP_WAITING, "gate", why="approval", message="Ship <it>?", due="t")
    await journal.record(
        story.step("gate", "pending", "running"),
        asked,
        story.step("pause", "pending", "running"),
        story.event(EventType.STEP_WAITING, "pause", why="delay", due="t"),
    )
    [gate] = await reader.waiting_gates("aaaa")
    assert (gate.id, gate.waiting) == (
        "gate",
        {"why": "approval", "message": "Ship <it>?", "due": "t", "since": isoformat(asked.time)},
    )
    assert await reader.waiting_gates("bbbb") == []
    await journal.record(story.step("gate", "running", "completed", result={"approved": True}))
    assert await reader.waiting_gates("aaaa") == []


async def test_the_new_facts_of_a_run_are_in_what_show_prints(journal: Journal, reader: Reader) -> None:
    story = Story("bbbb")
    await journal.record(*Story("aaaa").whole())
    await journal.record(
        story.created("one", parent=child_of("aaaa", item=2), scheduled_for="2026-01-01T00:00:00.000000Z"),
        story.run("pending", "running"),
        story.event(EventType.RUN_SETTLED, status="completed"),
        story.step(
            "one",
            "pending",
            "completed",
            reused=True,
            cached_from={"run_id": "aaaa", "step_id": "one"},
            artifacts=[{"name": "report", "size": 7}],
        ),
        story.attempt_created("one", child_run="cccc"),
    )
    shown = json.loads(json.dumps((await reader.detail("bbbb")).to_json()))
    run, [step] = shown["run"], shown["steps"]
    assert run["parent"]["run_id"] == "aaaa" and run["parent"]["item"] == 2
    assert run["settled"] == {"status": "completed"}
    assert run["scheduled_for"] == "2026-01-01T00:00:00.000000Z"
    assert step["cached_from"] == {"run_id": "aaaa", "step_id": "one"} and step["reused"] is True
    assert step["artifacts"] == [{"name": "report", "size": 7}]
    assert step["attempts"][0]["child_run"] == "cccc"
