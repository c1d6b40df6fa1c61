"""Reading: lookups, pages, state at any moment, homes without a history."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.errors import HistoryError, UsageError
from engine.history.connection import Row, Snapshot
from engine.history.journal import Journal
from engine.history.reader import Reader
from tests.unit.history.story import Story


async def record_runs(journal: Journal, *ids: str) -> None:
    for run_id in ids:
        journal.record(*Story(run_id).whole())
    await journal.record(Story(ids[0]).warning())


async def test_a_home_without_a_database_reads_as_empty_and_stays_so(tmp_path: Path) -> None:
    home = tmp_path / "nowhere"
    async with Reader(home / "history.db") as reader:
        assert await reader.runs() == []
        assert await reader.events() == []
        assert await reader.unfinished() == []
        assert await reader.kept_agents() == []
        assert await reader.last_runs_by_workflow(3) == {}
        assert set((await reader.counts()).values()) == {0}
        with pytest.raises(UsageError, match="nothing has been run yet"):
            await reader.run("last")
    assert not home.exists()


async def test_a_reader_that_was_there_first_sees_the_database_when_it_comes(database: Path) -> None:
    async with Reader(database) as reader:
        assert await reader.runs() == []
        async with await Journal.open(database) as journal:
            await record_runs(journal, "aaaa")
            assert [run.id for run in await reader.runs()] == ["aaaa"]


async def test_a_run_is_named_by_id_by_unique_beginning_or_as_last(journal: Journal, reader: Reader) -> None:
    await record_runs(journal, "abc111", "abc222", "abc", "def333")
    assert (await reader.run("abc222")).id == "abc222"
    assert (await reader.run("d")).id == "def333"
    assert (await reader.run("last")).id == "def333"
    # A whole id wins over longer ones that begin with it.
    assert (await reader.run("abc")).id == "abc"


async def test_an_ambiguous_or_unknown_run_is_answered_with_the_candidates(
    journal: Journal, reader: Reader
) -> None:
    await record_runs(journal, "abc111", "abc222", "def333")
    with pytest.raises(UsageError, match="several run ids") as ambiguous:
        await reader.run("ab")
    assert "abc111" in ambiguous.value.hint and "abc222" in ambiguous.value.hint
    assert "def333" not in ambiguous.value.hint
    for ref in ("zzz", "", "a'b", "%", "abc_11", "\N{BELL}", "abc1110"):
        with pytest.raises(UsageError) as unknown:
            await reader.run(ref)
        assert "def333" in unknown.value.hint


async def test_pages_of_ten_thousand_runs_hold_each_run_once_newest_first(
    journal: Journal, reader: Reader
) -> None:
    total = 10_000
    for number in range(total):
        story = Story(f"{number:05x}")
        answer = journal.record(
            story.created(workflow="even" if number % 2 == 0 else "odd"),
            *([story.run("pending", "running")] if number % 1000 == 0 else []),
        )
    await answer
    seen: list[str] = []
    before: int | None = None
    while page := await reader.runs(limit=999, before=before):
        seen += [run.id for run in page]
        before = page[-1].seq
    assert seen == [f"{number:05x}" for number in reversed(range(total))]
    odd = await reader.runs(workflow="odd", limit=3)
    assert [run.id for run in odd] == [f"{number:05x}" for number in (9999, 9997, 9995)]
    running = await reader.runs(status="running", limit=100)
    assert [run.id for run in running] == [f"{number:05x}" for number in range(9000, -1, -1000)]
    assert await reader.runs(workflow="odd", status="running") == []
    assert len(await reader.unfinished()) == total


async def test_detail_shows_steps_items_and_attempts_in_order_with_the_state(
    journal: Journal, reader: Reader
) -> None:
    story = Story()
    await journal.record(
        story.created("one", "two", state={"a": 1}),
        story.run("pending", "running"),
        story.step("one", "pending", "running"),
        story.expanded("one", *range(12)),
        story.attempt_created("two"),
        *(story.attempt_created("one", number, item) for item in (10, 2) for number in (1, 2)),
        story.item("one", 2, "pending", "running"),
        story.item("one", 2, "running", "completed", result={"x": 1}, exit_code=0),
        story.step("one", "running", "completed", changes={"set": {"b": 2}, "removed": ["a"]}),
    )
    detail = await reader.detail("last")
    one, two = detail.steps
    assert detail.state == {"b": 2}
    assert [item.index for item in one.items] == list(range(12))
    assert [item.value for item in one.items] == list(range(12))
    assert [attempt.number for attempt in one.items[10].attempts] == [1, 2]
    assert one.items[2].result == {"x": 1}
    assert one.attempts == () and [attempt.item for attempt in two.attempts] == [None]
    bare = await reader.detail("last", items=False)
    assert bare.steps[0].items == () and bare.steps[1].attempts == two.attempts
    assert await reader.items(story.run_id, "one", limit=3, offset=9) == list(one.items[9:12])
    assert await reader.items(story.run_id, "one") == list(one.items)
    assert await reader.item_counts(story.run_id, "one") == {"completed": 1, "pending": 11}
    assert await reader.attempts(story.run_id, "one", 10) == list(one.items[10].attempts)
    assert (await reader.step(story.run_id, "two")).attempts == two.attempts
    with pytest.raises(UsageError, match="no step 'three'") as unknown:
        await reader.step(story.run_id, "three")
    assert "one, two" in unknown.value.hint


async def test_the_state_can_be_had_as_of_any_event(journal: Journal, reader: Reader) -> None:
    story = Story()
    committed = await journal.record(
        story.created("one", "two", "three", "four", state={"a": 1, "gone": True}),
        story.step("one", "pending", "running"),
        story.step("one", "running", "completed", changes={"set": {"a": 2}, "removed": ["gone"]}),
        story.step("two", "pending", "running"),
        story.step("two", "running", "retrying", delay=1, next_attempt_at="t", error="e"),
        # Beside `two`, another step changes the state and ends.
        story.step("three", "pending", "completed", reused=True, changes={"set": {"b": 1}, "removed": []}),
        story.step("two", "retrying", "running"),
        story.step("two", "running", "completed", changes={"set": {"a": 3}, "removed": []}),
        story.step("four", "pending", "skipped"),
    )
    run_id, seqs = story.run_id, [event.seq for event in committed]
    assert await reader.state_at(run_id, seqs[0]) == {"a": 1, "gone": True}
    assert await reader.state_at(run_id, seqs[1]) == {"a": 1, "gone": True}
    assert await reader.state_at(run_id, seqs[2]) == {"a": 2}
    assert await reader.state_at(run_id, seqs[-1]) == {"a": 3, "b": 1}
    assert await reader.state_before(run_id, "one") == {"a": 1, "gone": True}
    assert await reader.state_before(run_id, "two") == {"a": 2}
    assert await reader.state_before(run_id, "three") == {"a": 2}
    changes = await reader.changes(run_id)
    assert [(change.seq, change.step_id) for change in changes] == [
        (seqs[2], "one"),
        (seqs[5], "three"),
        (seqs[7], "two"),
    ]
    assert (changes[0].set, changes[0].removed) == ({"a": 2}, ("gone",))


async def test_kept_agents_are_listed_until_they_are_removed(journal: Journal, reader: Reader) -> None:
    story, other = Story("aaaa"), Story("bbbb")
    for told in (story, other):
        await journal.record(
            told.created("one"),
            told.attempt_created("one", item=None),
            told.attempt_created("one", item=3),
            told.attempt("one", "pending", "failed", kept=True),
            told.attempt("one", "pending", "failed", item=3, kept=True),
        )
    kept = await reader.kept_agents()
    assert {(a.run_id, a.item) for a in kept} == {
        (run, item) for run in ("aaaa", "bbbb") for item in (None, 3)
    }
    await journal.record(story.agent_removed("one", item=3))
    assert [a.item for a in await reader.kept_agents("aaaa")] == [None]
    assert len(await reader.kept_agents("bbbb")) == 2


async def test_events_are_paged_by_number_over_all_runs_or_one(journal: Journal, reader: Reader) -> None:
    await record_runs(journal, "aaaa", "bbbb")
    everything = await reader.events()
    assert await reader.events(after=5, limit=4) == everything[5:9]
    assert await reader.events("bbbb") == [event for event in everything if event.run_id == "bbbb"]
    assert await reader.events("bbbb", after=everything[-2].seq) == []


async def test_the_document_of_a_run_that_is_not_there_is_an_error_in_words(
    journal: Journal, reader: Reader
) -> None:
    with pytest.raises(HistoryError, match="no document with digest 'x'"):
        await reader.document("x")


async def test_many_queries_at_once_on_one_reader(journal: Journal, reader: Reader) -> None:
    await record_runs(journal, *(f"run{number}" for number in range(10)))
    details = await asyncio.gather(*(reader.detail(f"run{number}") for number in range(10)))
    assert [detail.run.id for detail in details] == [f"run{number}" for number in range(10)]


async def test_a_cancelled_query_leaves_the_reader_usable(journal: Journal, reader: Reader) -> None:
    await record_runs(journal, "aaaa")
    for pause in range(6):
        task = asyncio.create_task(reader.detail("aaaa"))
        for _ in range(pause):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await reader.detail("aaaa")).run.id == "aaaa"


async def test_another_process_reads_while_the_journal_writes(journal: Journal, database: Path) -> None:
    await record_runs(journal, "aaaa")
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from engine.history.reader import Reader\n"
        "async def main():\n"
        "    async with Reader(Path(sys.argv[1])) as reader:\n"
        "        print((await reader.run('last')).id, len(await reader.events()))\n"
        "asyncio.run(main())\n"
    )
    answer = journal.record(Story("aaaa").warning())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(database), stdout=asyncio.subprocess.PIPE
    )
    shown, _ = await process.communicate()
    await answer
    assert shown.split()[0] == b"aaaa"


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How SQLite answers each query that is asked from now on."""
    plans: list[str] = []
    fetch = Snapshot.fetch

    async def explaining(self: Snapshot, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        plans.extend(row[3] for row in await fetch(self, f"EXPLAIN QUERY PLAN {sql}", parameters))
        return await fetch(self, sql, parameters)

    monkeypatch.setattr(Snapshot, "fetch", explaining)
    return plans


async def test_no_query_reads_a_whole_table_but_the_runs_it_lists(
    journal: Journal, reader: Reader, plans: list[str]
) -> None:
    await record_runs(journal, "aaaa")
    run = await reader.run("aa")
    await reader.run("last")
    await reader.runs(before=99)
    await reader.runs(workflow="demo", before=99)
    await reader.runs(status="failed", before=99)
    await reader.detail(run.id)
    await reader.items(run.id, "one", limit=5)
    await reader.item_counts(run.id, "one")
    await reader.attempts(run.id, "one")
    await reader.kept_agents()
    await reader.kept_agents(run.id)
    await reader.events(after=5)
    await reader.events(run.id, after=5)
    await reader.state_before(run.id, "one")
    await reader.changes(run.id)
    await reader.document(run.digest)
    await reader.unfinished()
    await reader.last_runs_by_workflow(3)
    await reader.runs(children=False)
    assert len(plans) > 20
    scans = {plan for plan in plans if plan.startswith("SCAN")}
    # The order of `runs` is newest first already; the other two hold only the names of workflows.
    assert scans <= {
        "SCAN runs",
        "SCAN names",
        "SCAN attempts USING INDEX attempts_kept",
        "SCAN CONSTANT ROW",
    }


async def test_what_belongs_to_a_run_is_found_without_going_through_all_runs(
    journal: Journal, reader: Reader, plans: list[str]
) -> None:
    await record_runs(journal, "aaaa")
    await reader.children("aaaa")
    await reader.children_documents("aaaa")
    await reader.retries("aaaa")
    await reader.last_scheduled("demo")
    await reader.waiting_gates("aaaa")
    await reader.recall("key", 60)
    assert len(plans) >= 6
    # The family is what has been found of it so far, the constant row the run that was asked for.
    assert {plan for plan in plans if plan.startswith("SCAN")} <= {"SCAN family", "SCAN CONSTANT ROW"}


FORGETFUL = """
import asyncio, sys
from pathlib import Path
from engine.history.journal import Journal
from engine.history.reader import Reader
kept = []
async def main():
    reader = Reader(Path(sys.argv[1]))
    kept.append((reader, await Journal.open(Path(sys.argv[1]))))
    print(len(await reader.runs()), flush=True)
    raise SystemExit(3)
asyncio.run(main())
"""


async def test_a_process_that_forgets_to_close_still_ends(database: Path) -> None:
    async with await Journal.open(database) as journal:
        await record_runs(journal, "aaaa")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FORGETFUL, str(database), stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(30):
            shown, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert shown == b"1\n"
    assert process.returncode == 3
