"""The views: compare-and-set against a model, and the promise that they can be derived again."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import isoformat
from engine.errors import IllegalTransitionError
from engine.events import TERMINAL_STEP, Event, EventType
from engine.history.journal import Journal
from engine.history.moves import to_json
from engine.history.projection import rebuild
from engine.history.reader import Reader
from engine.history.writer import Entry, Writer
from tests.unit.history.story import Story

VIEWS = ("runs", "steps", "items", "attempts", "state_changes", "run_children", "remembered")


def views(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {
        view: connection.execute(f"SELECT * FROM {view} ORDER BY 1, 2, 3, 4").fetchall() for view in VIEWS
    }


async def test_a_whole_run_can_be_derived_again(journal: Journal) -> None:
    story, other = Story("aaaa"), Story("bbbb")
    await journal.record(*other.whole())
    await journal.record(
        story.created(
            "one",
            "two",
            "three",
            "late",
            state={"a": 1, "b": 2},
            retry_of="bbbb",
            retry_scope="failed",
            parent={"run_id": "bbbb", "step_id": "one", "item": 0, "attempt": 2, "way": "small"},
            children={"inner": {"digest": "d2", "path": "/w/inner.yaml", "document": "name: inner"}},
            scheduled_for="2026-01-01T00:00:00.000000Z",
            no_cache=True,
        ),
        story.event(EventType.RUN_QUEUED, why="max_active_runs"),
        story.run("pending", "running"),
        story.event(EventType.RUN_RECOVERED, instance="i", recoveries=2),
        story.event(EventType.STEP_WAITING, "one", why="slot"),
        story.step("one", "pending", "running"),
        story.expanded("one", "x", {"y": [1, None]}),
        story.item("one", 0, "pending", "running"),
        story.attempt_created("one", item=0),
        story.attempt("one", "pending", "running", item=0, agent_id="id"),
        story.attempt("one", "running", "failed", item=0, reason="task_failed", exit_code=3, kept=True),
        story.item(
            "one",
            0,
            "running",
            "retrying",
            delay=5.0,
            next_attempt_at="2026-01-01T00:00:00.000000Z",
            error="e",
        ),
        story.item("one", 0, "retrying", "failed", error="e", reason="task_failed", exit_code=3),
        story.item(
            "one",
            1,
            "pending",
            "completed",
            result=None,
            cache_key="item",
            artifacts=[{"name": "a", "size": 1}],
        ),
        story.agent_removed("one", item=0),
        story.step(
            "one",
            "running",
            "completed",
            result=[1, None],
            duration=2.5,
            changes={"set": {"a": 2}, "removed": ["b"]},
        ),
        story.step(
            "two",
            "pending",
            "completed",
            reused=True,
            cached_from={"run_id": "bbbb", "step_id": "one"},
            partial=True,
            changes={"set": {"c": 3}, "removed": []},
        ),
        story.step("three", "pending", "running"),
        story.attempt_created("three", child_run="cccc", agent="", log=""),
        story.attempt("three", "pending", "running", agent_id=""),
        story.attempt("three", "running", "completed", kept=False),
        story.step("three", "running", "completed", cache_key="step"),
        story.step("late", "pending", "running"),
        story.event(EventType.STEP_WAITING, "late", why="approval", message="Go on?"),
        story.event(EventType.RUN_SETTLED, status="failed", reason="task_failed", failed_step="one"),
        story.run("running", "cancelling", by="user"),
        story.run("cancelling", "cancelled", reason="cancelled"),
    )

    def derive(connection: sqlite3.Connection) -> None:
        before = views(connection)
        assert all(before[view] for view in VIEWS)
        rebuild(connection, "aaaa")
        assert views(connection) == before

    await journal.maintain(derive)


async def test_durations_are_the_engines_own_where_it_tells_them(journal: Journal, reader: Reader) -> None:
    story = Story()
    await journal.record(
        story.created("one", "two"),
        story.run("pending", "running"),
        story.step("one", "pending", "running"),
        story.step("one", "running", "completed", duration=0.25),
        story.step("two", "pending", "skipped"),
        story.run("running", "completed"),
    )
    detail = await reader.detail(story.run_id)
    assert [step.duration for step in detail.steps] == [0.25, None]
    assert detail.run.duration == 4.0


async def test_a_wall_clock_that_jumps_back_gives_no_negative_duration(
    journal: Journal, reader: Reader
) -> None:
    story = Story()
    await journal.record(story.created(), story.run("pending", "running"))
    earlier = Story(start=Story().event(EventType.WARNING).time.replace(year=2025))
    await journal.record(earlier.run("running", "completed"))
    assert (await reader.run(story.run_id)).duration == 0.0


# -- against a model ----------------------------------------------------------------------------------

RUN, STEPS, ITEMS, ATTEMPTS = "run", ("s0", "s1"), (None, 0, 1), (1, 2)
Key = tuple[Any, ...]


@dataclass
class Model:
    """What the history should accept: every thing's status, by its key."""

    status: dict[Key, str] = field(default_factory=dict)

    def accepts(self, event: Event) -> bool:
        key: Key = (event.run_id,)
        if event.type is EventType.RUN_CREATED:
            if key in self.status:
                return False
            self.status[key] = "pending"
            self.status.update({(event.run_id, step["id"]): "pending" for step in event.data["plan"]})
            return True
        if event.type is EventType.STEP_EXPANDED:
            keys = [(event.run_id, event.step_id, n) for n in range(len(event.data["values"]))]
            return self._add(event.run_id, keys)
        if event.type is EventType.ATTEMPT_CREATED:
            return self._add(event.run_id, [(event.run_id, event.step_id, event.item, "#", event.attempt)])
        if event.type is EventType.WARNING:
            return key in self.status
        if event.attempt is not None:
            key = (event.run_id, event.step_id, event.item, "#", event.attempt)
        elif event.item is not None:
            key = (event.run_id, event.step_id, event.item)
        elif event.step_id is not None:
            key = (event.run_id, event.step_id)
        if self.status.get(key) != event.data["old"]:
            return False
        self.status[key] = event.data["status"]
        return True

    def _add(self, run_id: str, keys: list[Key]) -> bool:
        if (run_id,) not in self.status or any(key in self.status for key in keys):
            return False
        self.status.update(dict.fromkeys(keys, "pending"))
        return True


def _moves(story: Story) -> st.SearchStrategy[Event]:
    # Few statuses, so that many of the moves are legal ones.
    statuses = st.sampled_from(["pending", "running", "failed", "completed"])
    step, item, number = st.sampled_from(STEPS), st.sampled_from(ITEMS), st.sampled_from(ATTEMPTS)
    values = st.lists(st.integers(), max_size=2)
    changes = st.fixed_dictionaries(
        {
            "set": st.dictionaries(st.sampled_from("abc"), st.none() | st.integers() | st.text(max_size=3)),
            "removed": st.lists(st.sampled_from("abc"), max_size=1),
        }
    )

    def moved_step(step: str, item: int | None, old: str, new: str, changes: Any) -> Event:
        if item is None:
            return (
                story.step(step, old, new, changes=changes)
                if new in TERMINAL_STEP
                else story.step(step, old, new)
            )
        return story.item(step, item, old, new, result=changes)

    def moved_attempt(step: str, item: int | None, number: int, old: str, new: str) -> Event:
        return story.attempt(step, old, new, item=item, number=number, kept=new == "failed", agent_id="i")

    return st.one_of(
        st.builds(story.created, st.just("s0"), st.just("s1"), state=st.just({"a": 0})),
        st.builds(story.run, statuses, statuses),
        st.builds(moved_step, step, item, statuses, statuses, changes),
        st.builds(lambda step, values: story.expanded(step, *values), step, values),
        st.builds(story.attempt_created, step, number, item),
        st.builds(moved_attempt, step, item, number, statuses, statuses),
        st.builds(story.warning),
    )


def write(writer: Writer, calls: list[list[Event]]) -> list[bool]:
    """Commit the calls as one group; whether each was accepted."""
    outcome = writer.commit(
        [[Entry(event, isoformat(event.time), to_json(dict(event.data))) for event in call] for call in calls]
    )
    for written in outcome:
        assert written.error is None or isinstance(written.error, IllegalTransitionError)
    return [written.error is None for written in outcome]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_sequence_is_judged_as_the_model_does_and_can_be_derived_again(data: st.DataObject) -> None:
    story, model = Story(RUN), Model()
    call = st.lists(_moves(story), min_size=1, max_size=3)
    groups = [[[story.created(*STEPS)]], *data.draw(st.lists(st.lists(call, max_size=5), max_size=8))]
    with tempfile.TemporaryDirectory() as directory:
        writer = Writer(Path(directory) / "history.db", busy_timeout=1)
        writer.open()
        try:
            for group in groups:
                assert write(writer, group) == [_accepted(model, events) for events in group]
            writer.transaction(lambda connection: _check(connection, model))
        finally:
            writer.close()


def _accepted(model: Model, events: list[Event]) -> bool:
    """Whether the model takes the whole call; if not, it is as before."""
    before = dict(model.status)
    if all(model.accepts(event) for event in events):
        return True
    model.status = before
    return False


def _check(connection: sqlite3.Connection, model: Model) -> None:
    stored: dict[Key, str] = {}
    queries: dict[str, Callable[[tuple[Any, ...]], Key]] = {
        "SELECT id, status FROM runs": lambda row: (row[0],),
        "SELECT run_id, id, status FROM steps": lambda row: row[:2],
        "SELECT run_id, step_id, number, status FROM items": lambda row: row[:3],
        "SELECT run_id, step_id, item, number, status FROM attempts": lambda row: (
            *row[:2],
            None if row[2] < 0 else row[2],
            "#",
            row[3],
        ),
    }
    for query, key in queries.items():
        stored.update({key(row): row[-1] for row in connection.execute(query)})
    assert stored == model.status
    before = views(connection)
    rebuild(connection, RUN)
    assert views(connection) == before
