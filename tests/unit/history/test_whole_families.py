"""A run and all that are part of it as one: deleted together or not at all, asked for gates together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.errors import HistoryError, UsageError
from engine.events import Event, EventType
from engine.history.journal import Journal
from engine.history.reader import Reader
from engine.history.retention import delete_run
from tests.unit.history.story import EPOCH, Story


def link(parent: str) -> dict[str, Any]:
    return {"run_id": parent, "step_id": "deploy", "attempt": 1}


def parent_story() -> tuple[Story, list[Event]]:
    """A run in progress whose step `deploy` is a run of its own."""
    story = Story("aaaa")
    children = {"rollout": {"digest": "d-rollout", "document": "name: rollout"}}
    return story, [
        story.created("deploy", children=children),
        story.run("pending", "running"),
        story.step("deploy", "pending", "running"),
        story.attempt_created("deploy", agent="", log="", child_run="bbbb"),
    ]


def child_story(run_id: str = "bbbb") -> Story:
    return Story(run_id, start=EPOCH + timedelta(minutes=1))


def whole_child() -> list[Event]:
    return child_story().whole(workflow="rollout", digest="d-rollout", parent=link("aaaa"))


async def test_a_deleted_run_takes_its_children_along_with_their_files_and_documents(
    journal: Journal, reader: Reader, tmp_path: Path
) -> None:
    story, begun = parent_story()
    await journal.record(*begun, story.run("running", "failed"))
    await journal.record(*whole_child())
    logs, artifacts = tmp_path / "logs", tmp_path / "artifacts"
    for run_id in ("aaaa", "bbbb"):
        (logs / run_id).mkdir(parents=True)
        (artifacts / run_id).mkdir(parents=True)
    with pytest.raises(UsageError, match="run bbbb is part of run aaaa"):
        await delete_run(journal, logs, "bbbb", artifacts=artifacts)
    await delete_run(journal, logs, "aaaa", artifacts=artifacts)
    assert await reader.runs() == []
    assert await reader.events() == []
    assert [*logs.iterdir(), *artifacts.iterdir()] == []
    for digest in ("d1", "d-rollout"):
        with pytest.raises(HistoryError, match="no document"):
            await reader.document(digest)


async def test_a_document_stays_as_long_as_a_step_of_another_run_runs_it(
    journal: Journal, reader: Reader, tmp_path: Path
) -> None:
    _, begun = parent_story()
    await journal.record(*begun)
    await journal.record(*Story("cccc").whole(workflow="rollout", digest="d-rollout"))
    await delete_run(journal, tmp_path / "logs", "cccc", artifacts=tmp_path / "artifacts")
    assert await reader.document("d-rollout") == "name: rollout"


async def test_nothing_of_a_family_goes_while_one_of_it_may_not(
    journal: Journal, reader: Reader, tmp_path: Path
) -> None:
    story, begun = parent_story()
    await journal.record(*begun, story.run("running", "failed"))
    await journal.record(*whole_child())
    grandchild = child_story("cccc")
    await journal.record(
        grandchild.created(parent=link("bbbb")),
        grandchild.run("pending", "running"),
        grandchild.attempt_created("one"),
        grandchild.attempt("one", "pending", "failed", kept=True),
        grandchild.run("running", "failed"),
    )
    with pytest.raises(UsageError, match="run cccc still has 1 kept agents"):
        await delete_run(journal, tmp_path / "logs", "aaaa", artifacts=tmp_path / "artifacts")
    assert len(await reader.runs()) == 3
    assert [attempt.run_id for attempt in await reader.kept_agents()] == ["cccc"], "child runs have no agent"


async def test_gates_of_a_run_are_also_those_of_its_parts(journal: Journal, reader: Reader) -> None:
    _, begun = parent_story()
    await journal.record(*begun)
    child = child_story()
    await journal.record(
        child.created(parent=link("aaaa")),
        child.run("pending", "running"),
        child.step("one", "pending", "running"),
        child.event(EventType.STEP_WAITING, "one", why="approval", message="Go?"),
    )
    for run_id in ("aaaa", "bbbb"):
        (gate,) = await reader.waiting_gates(run_id)
        assert (gate.run_id, gate.id) == ("bbbb", "one")
    await journal.record(child.step("one", "running", "completed"))
    assert await reader.waiting_gates("aaaa") == []


async def test_the_last_runs_of_workflows_are_those_that_are_part_of_nothing(
    journal: Journal, reader: Reader
) -> None:
    _, begun = parent_story()
    await journal.record(*begun)
    await journal.record(*whole_child())
    assert (await reader.last_runs_by_workflow(1)).keys() == {"demo"}
