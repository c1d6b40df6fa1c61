"""Deleting old runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import HistoryError, UsageError
from engine.history.journal import Journal
from engine.history.logs import LogWriter
from engine.history.reader import Reader
from engine.history.retention import delete_run
from tests.unit.history.story import Story


def write_artifact(artifacts: Path, run_id: str) -> Path:
    file = artifacts / run_id / "one" / "report.txt"
    file.parent.mkdir(parents=True)
    file.write_text("kept", encoding="utf-8")
    file.chmod(0o444)
    return file


def write_log(logs: Path, run_id: str) -> Path:
    writer = LogWriter(logs, f"{run_id}/one.1.log", limit=1 << 20)
    writer.write("stdout", b"hello\n")
    writer.close()
    return writer.path


async def test_a_deleted_run_leaves_nothing_and_takes_nothing_else_along(
    journal: Journal, reader: Reader, tmp_path: Path
) -> None:
    await journal.record(*Story("aaaa").whole(digest="shared"))
    await journal.record(*Story("bbbb").whole(digest="shared"))
    logs = tmp_path / "logs"
    gone, stays = write_log(logs, "aaaa"), write_log(logs, "bbbb")
    artifacts = [write_artifact(tmp_path / "artifacts", run_id) for run_id in ("aaaa", "bbbb")]
    await delete_run(journal, logs, "aaaa", artifacts=tmp_path / "artifacts")
    assert [run.id for run in await reader.runs()] == ["bbbb"]
    assert {event.run_id for event in await reader.events()} == {"bbbb"}
    assert await reader.changes("aaaa") == [] and await reader.attempts("aaaa", "one") == []
    assert not gone.parent.exists() and stays.exists()
    assert not artifacts[0].parents[1].exists() and artifacts[1].exists()
    assert await reader.document("shared")
    await delete_run(journal, logs, "bbbb", artifacts=tmp_path / "artifacts")
    with pytest.raises(HistoryError, match="no document"):
        await reader.document("shared")


async def test_a_run_without_output_can_be_deleted(journal: Journal, reader: Reader, tmp_path: Path) -> None:
    await journal.record(*Story("aaaa").whole())
    await delete_run(journal, tmp_path / "logs", "aaaa", artifacts=tmp_path / "artifacts")
    assert await reader.runs() == []


async def test_a_run_that_is_not_over_stays(journal: Journal, reader: Reader, tmp_path: Path) -> None:
    story = Story("aaaa")
    await journal.record(story.created(), story.run("pending", "running"))
    log = write_log(tmp_path / "logs", "aaaa")
    with pytest.raises(UsageError, match="run aaaa is running"):
        await delete_run(journal, tmp_path / "logs", "aaaa", artifacts=tmp_path / "artifacts")
    assert log.exists() and len(await reader.runs()) == 1
    with pytest.raises(UsageError, match="no run 'zzzz'"):
        await delete_run(journal, tmp_path / "logs", "zzzz", artifacts=tmp_path / "artifacts")


async def test_a_run_with_kept_agents_stays_until_they_are_removed(
    journal: Journal, reader: Reader, tmp_path: Path
) -> None:
    story = Story("aaaa")
    await journal.record(
        story.created(),
        story.run("pending", "running"),
        story.attempt_created("one"),
        story.attempt("one", "pending", "failed", kept=True),
        story.run("running", "failed"),
    )
    with pytest.raises(UsageError, match="kept agents") as caught:
        await delete_run(journal, tmp_path / "logs", "aaaa", artifacts=tmp_path / "artifacts")
    assert "cleanup aaaa" in caught.value.hint
    await journal.record(story.agent_removed("one"))
    await delete_run(journal, tmp_path / "logs", "aaaa", artifacts=tmp_path / "artifacts")
    assert await reader.runs() == []


async def test_a_run_that_is_being_retried_stays_until_that_is_over(
    journal: Journal, reader: Reader, tmp_path: Path
) -> None:
    link = {"run_id": "aaaa", "step_id": "one", "attempt": 1}
    await journal.record(*Story("aaaa").whole())
    await journal.record(*Story("bbbb").whole(parent=link))
    retry = Story("cccc").whole(retry_of="bbbb")
    await journal.record(*retry[:-1])
    with pytest.raises(UsageError, match="run bbbb is being retried by run cccc"):
        await delete_run(journal, tmp_path / "logs", "aaaa", artifacts=tmp_path / "artifacts")
    assert len(await reader.runs()) == 3
    await journal.record(retry[-1])
    await delete_run(journal, tmp_path / "logs", "aaaa", artifacts=tmp_path / "artifacts")
    assert [run.id for run in await reader.runs()] == ["cccc"]


async def test_a_hostile_run_id_is_no_path(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    for run_id in ("../precious", "..", "", "a/../../precious", "/etc"):
        with pytest.raises(HistoryError, match="no name for a log file"):
            await delete_run(journal, tmp_path / "logs", run_id, artifacts=tmp_path / "artifacts")
    assert (tmp_path / "precious").exists()
