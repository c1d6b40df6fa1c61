"""The journal: order, atomic calls, compare-and-set, failures of the disk, closing."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from engine.clock import isoformat
from engine.errors import HistoryError, IllegalTransitionError
from engine.events import Event, EventType
from engine.history.journal import Journal
from engine.history.moves import to_json
from engine.history.reader import Reader
from engine.history.writer import Call, Entry, Writer
from tests.unit.history.story import Story

T = TypeVar("T")


async def test_events_come_back_numbered_and_as_they_were_recorded(journal: Journal, reader: Reader) -> None:
    story = Story()
    events = story.whole()
    committed = await journal.record(*events)
    assert [event.seq for event in committed] == list(range(1, len(events) + 1))
    assert journal.last_seq == len(events)
    assert await reader.events() == list(committed)
    assert committed[2].data == events[2].data


async def test_the_order_of_calls_is_the_order_of_the_journal(journal: Journal, reader: Reader) -> None:
    stories = [Story(f"run{number:03}") for number in range(20)]
    for story in stories:
        journal.record(story.created())

    async def tell(story: Story, told: list[Event]) -> None:
        for number in range(50):
            event = story.warning(str(number))
            told.append(event)
            journal.record(event)
            if number % 7 == 0:
                await asyncio.sleep(0)

    told: list[Event] = []
    await asyncio.gather(*(tell(story, told) for story in stories))
    await journal.record(stories[0].warning("last"))
    found = await reader.events(after=20, limit=10_000)
    assert [(e.run_id, e.data["message"]) for e in found[:-1]] == [
        (e.run_id, e.data["message"]) for e in told
    ]


async def test_a_later_answer_vouches_for_earlier_calls(journal: Journal, reader: Reader) -> None:
    story = Story()
    *earlier, last = story.whole()
    for event in earlier:
        journal.record(event)
    await journal.record(last)
    assert len(await reader.events()) == len(earlier) + 1


async def test_a_refused_call_leaves_no_trace_and_does_not_touch_its_group(
    journal: Journal, reader: Reader
) -> None:
    story = Story()
    created = journal.record(story.created("one", "two"))
    good = journal.record(story.step("one", "pending", "running"))
    # The first event of this call is legal, the second is not: neither is written.
    bad = journal.record(story.step("two", "pending", "running"), story.step("one", "pending", "running"))
    after = journal.record(story.step("one", "running", "completed"))
    with pytest.raises(IllegalTransitionError, match=r"step one: step.started .*its status is 'running'"):
        await bad
    assert await created and await good and await after
    one, two = await reader.steps(story.run_id)
    assert (one.status, two.status) == ("completed", "pending")
    assert [event.seq for event in await reader.events()] == [1, 2, 3]


async def test_only_one_of_many_writers_of_one_move_wins(journal: Journal) -> None:
    story = Story()
    await journal.record(story.created())
    answers = await asyncio.gather(
        *(journal.record(story.step("one", "pending", "running")) for _ in range(50)), return_exceptions=True
    )
    assert sum(isinstance(answer, tuple) for answer in answers) == 1
    assert sum(isinstance(answer, IllegalTransitionError) for answer in answers) == 49


@pytest.mark.parametrize(
    "event",
    [
        Story("nobody").warning(),
        Story("nobody").step("one", "pending", "running"),
        Story("nobody").attempt_created("one"),
        Story("nobody").agent_removed("one"),
        Story("nobody").expanded("one", 1),
    ],
    ids=lambda event: str(event.type),
)
async def test_an_event_of_an_unknown_run_is_refused(journal: Journal, event: Event) -> None:
    with pytest.raises(IllegalTransitionError, match="run nobody"):
        await journal.record(event)


async def test_what_exists_is_not_created_twice(journal: Journal) -> None:
    story = Story()
    await journal.record(story.created(), story.expanded("one", 1, 2), story.attempt_created("one", item=0))
    for event in (story.created(), story.expanded("one", 3), story.attempt_created("one", item=0)):
        with pytest.raises(IllegalTransitionError):
            await journal.record(event)


async def test_data_that_is_not_json_fails_its_call_alone(journal: Journal, reader: Reader) -> None:
    story = Story()
    await journal.record(story.created())
    bad = journal.record(story.event(EventType.WARNING, message=object()))
    good = journal.record(story.warning())
    with pytest.raises(HistoryError, match="cannot be stored"):
        await bad
    await good
    assert len(await reader.events()) == 2


async def test_data_without_what_its_type_promises_fails_its_call_alone(journal: Journal) -> None:
    story = Story()
    await journal.record(story.created())
    bad = journal.record(story.event(EventType.STEP_STARTED, "one", status="running"))
    odd = journal.record(story.event(EventType.STEP_FINISHED, "one", old="pending", status="exploded"))
    strange = journal.record(story.step("one", "pending", "completed", changes=["not", "a", "mapping"]))
    good = journal.record(story.warning())
    for answer in (bad, odd, strange):
        with pytest.raises(HistoryError, match="cannot be stored"):
            await answer
    assert await good
    assert journal.healthy


async def test_what_a_caller_changes_after_recording_is_not_recorded(
    journal: Journal, reader: Reader
) -> None:
    story = Story()
    values = {"a": [1]}
    event = story.event(EventType.WARNING, message="m", values=values)
    await journal.record(story.created())
    answer = journal.record(event)
    values["a"].append(2)
    await answer
    assert (await reader.events())[-1].data["values"] == {"a": [1]}


async def test_cancelling_the_wait_does_not_take_the_events_back(journal: Journal, reader: Reader) -> None:
    story = Story()
    await journal.record(story.created())

    async def wait() -> None:
        await journal.record(story.run("pending", "running"))

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await journal.record(story.run("running", "completed"))
    assert [event.type for event in await reader.events()][1] is EventType.RUN_STARTED
    assert journal.in_flight == 0


async def test_in_flight_counts_from_the_call_to_the_answer(journal: Journal) -> None:
    story = Story()
    answers = [journal.record(story.created()), journal.record(story.warning())]
    assert journal.in_flight == 2
    await asyncio.gather(*answers)
    assert journal.in_flight == 0


async def test_closing_commits_what_waits_and_refuses_what_comes_later(database: Path) -> None:
    story = Story()
    journal = await Journal.open(database)
    answers = [journal.record(story.created())] + [journal.record(story.warning()) for _ in range(2000)]
    await journal.close()
    assert not database.with_name("history.db-wal").exists()
    assert all(answer.done() and answer.exception() is None for answer in answers)
    with pytest.raises(HistoryError, match="closed"):
        await journal.record(story.warning())
    await journal.close()
    async with Reader(database) as reader:
        assert len(await reader.events(limit=5000)) == 2001


async def test_the_document_is_kept_once_and_not_in_the_event(journal: Journal, reader: Reader) -> None:
    first, second = Story("a"), Story("b")
    (created,) = await journal.record(first.created(document="text", digest="dig"))
    await journal.record(second.created(document="text", digest="dig"))
    assert "document" not in created.data
    assert all("document" not in event.data for event in await reader.events())
    assert await reader.document("dig") == "text"


async def test_numbers_never_go_back_even_after_deleting_the_newest(database: Path) -> None:
    story = Story()
    async with await Journal.open(database) as journal:
        await journal.record(*story.whole())
        last = journal.last_seq
        await journal.maintain(lambda connection: connection.execute("DELETE FROM events"))
    async with await Journal.open(database) as journal:
        assert journal.last_seq == last
        (event,) = await journal.record(story.warning())
        assert event.seq == last + 1


@contextlib.contextmanager
def no_room_on_the_disk(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes: writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [10, 100_000], ids=["small", "large"])
async def test_a_full_disk_fails_the_calls_it_meets_and_later_ones_are_tried_again(
    database: Path, size: int
) -> None:
    story = Story()
    async with await Journal.open(database) as journal:
        await journal.record(story.created(), story.run("pending", "running"))
        with no_room_on_the_disk(4096):
            with pytest.raises(HistoryError, match=r"history\.db: the disk") as caught:
                await journal.record(story.step("one", "pending", "running"), story.warning("x" * size))
            assert caught.value.hint
            assert not journal.healthy
            assert journal.failure is caught.value
        await journal.record(story.step("one", "pending", "running"))
        assert journal.healthy
        async with Reader(database) as reader:
            assert [event.seq for event in await reader.events()] == [1, 2, 3]


async def test_a_database_that_another_program_locks_fails_in_words(database: Path) -> None:
    story = Story()
    async with await Journal.open(database, busy_timeout=0.05) as journal:
        await journal.record(story.created())
        other = sqlite3.connect(database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryError, match="keeps it locked"):
            await journal.record(story.warning())
        other.execute("ROLLBACK")
        other.close()
        await journal.record(story.warning())
        assert journal.healthy


async def test_a_lock_that_passes_in_time_is_waited_out(database: Path) -> None:
    story = Story()
    async with await Journal.open(database, busy_timeout=30) as journal:
        await journal.record(story.created())
        other = sqlite3.connect(database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        answer = journal.record(story.warning())
        await asyncio.wait({answer}, timeout=0.05)
        assert not answer.done()
        other.execute("ROLLBACK")
        other.close()
        assert await answer


async def test_the_end_of_a_burst_reaches_the_disk_by_itself(database: Path, tmp_path: Path) -> None:
    story = Story()
    copy = tmp_path / "copy" / "history.db"
    copy.parent.mkdir()
    async with await Journal.open(database) as journal:
        await journal.record(story.created())
        for number in range(20):  # too soon after the first commit to be synced one by one
            await journal.record(story.warning(str(number)))
        found = 0
        async with asyncio.timeout(30):
            while found < 21:  # the log's pages are in the database file once they are synced
                shutil.copy(database, copy)
                with contextlib.suppress(HistoryError):  # copied in the middle of that
                    async with Reader(copy) as reader:
                        found = len(await reader.events())
                await asyncio.sleep(0.01)


async def test_what_nobody_awaits_is_committed_all_the_same(journal: Journal, reader: Reader) -> None:
    story = Story()
    await journal.record(story.created())
    async with journal.subscribe() as subscription, asyncio.timeout(10):
        journal.record(story.warning("unasked"))
        event = await anext(aiter(subscription))
    assert event.data["message"] == "unasked"
    assert (await reader.events())[-1] == event


async def test_what_nobody_awaits_shares_the_commit_of_what_somebody_does(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[list[str]] = []

    def counting(of: Callable[[Writer, Sequence[Call]], T]) -> Callable[[Writer, Sequence[Call]], T]:
        def commit(writer: Writer, calls: Sequence[Call]) -> T:
            groups.append([entry.event.data["message"] for call in calls for entry in call])
            return of(writer, calls)

        return commit

    story = Story()
    await journal.record(story.created())
    monkeypatch.setattr(Writer, "commit", counting(Writer.commit))
    monkeypatch.setattr(Writer, "commit_quickly", counting(Writer.commit_quickly))
    journal.record(story.warning("first"))
    await asyncio.sleep(0)
    journal.record(story.warning("second"))
    await asyncio.sleep(0)
    await journal.record(story.warning("third"))
    assert groups == [["first", "second", "third"]]


async def test_what_needs_no_disk_goes_before_what_does_and_keeps_its_place(
    journal: Journal, reader: Reader
) -> None:
    story = Story()
    await journal.record(story.created())
    journal.record(story.run("pending", "running"))
    journal.record(story.warning("before"))
    journal.record(story.run("running", "completed"))
    await journal.record(story.warning("after"))
    found = [event.data.get("message") or event.data.get("status") for event in await reader.events()]
    assert found[1:] == ["running", "before", "completed", "after"]


def test_only_few_and_small_calls_that_need_no_sync_are_committed_quickly(database: Path) -> None:
    story = Story()
    writer = Writer(database, busy_timeout=1, clock=lambda: 1.0)
    writer.open()
    note, end = [entry(story.warning())], [entry(story.run("running", "completed"))]
    assert writer.quick_part([note]) == 0, "nothing has been synced yet"
    writer.commit([[entry(story.created())]])
    assert writer.quick_part([note, note, end, note]) == 2
    assert writer.quick_part([end]) == 0
    assert writer.quick_part([note] * 1000) == 64
    assert writer.quick_part([[entry(story.warning("x" * 70_000))]]) == 0
    writer.close()


def test_numbers_go_on_where_refused_calls_left_none(database: Path) -> None:
    story = Story()
    writer = Writer(database, busy_timeout=1)
    writer.open()
    writer.commit([[entry(story.created())]])
    refused = [entry(story.warning()), entry(story.run("running", "completed"))]
    written = writer.commit([[entry(story.warning())], refused, [entry(story.warning())]])
    assert [[event.seq for event in call.events] for call in written] == [[2], [], [3]]
    assert isinstance(written[1].error, IllegalTransitionError)
    assert writer.commit([[entry(story.warning())]])[0].events[0].seq == 4
    writer.close()


def test_settling_writes_and_so_syncs_even_while_a_reader_holds_an_old_state(database: Path) -> None:
    story = Story()
    writer = Writer(database, busy_timeout=1)
    writer.open()
    writer.commit([[entry(story.created())]])
    reader = sqlite3.connect(database, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM events").fetchall()
    assert writer.commit_quickly([[entry(story.warning())]])
    assert writer.unsynced_for > 0
    log = database.with_name("history.db-wal")
    before = log.stat().st_size
    writer.settle()
    assert log.stat().st_size > before
    assert writer.unsynced_for == 0
    reader.close()
    writer.close()


def entry(event: Event) -> Entry:
    return Entry(event, isoformat(event.time), to_json(dict(event.data)))


async def test_maintenance_waits_its_turn_and_keeps_the_journal_waiting(journal: Journal) -> None:
    story = Story()
    await journal.record(story.created())
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(connection: sqlite3.Connection) -> int:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(30)
        count: int = connection.execute("SELECT count(*) FROM events").fetchone()[0]
        return count

    maintenance = asyncio.create_task(journal.maintain(work))
    await begun.wait()
    # Even when nobody waits for the work any more, it has the connection for itself.
    maintenance.cancel()
    await asyncio.gather(maintenance, return_exceptions=True)
    answer = journal.record(story.warning())
    await asyncio.wait({answer}, timeout=0.05)
    assert not answer.done()
    go_on.set()
    assert await answer
    assert await journal.maintain(lambda c: c.execute("SELECT count(*) FROM events").fetchone()[0]) == 2


async def test_maintenance_that_fails_changes_nothing(journal: Journal, reader: Reader) -> None:
    await journal.record(Story().created())

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM runs")
        raise LookupError("no")

    with pytest.raises(LookupError):
        await journal.maintain(work)
    assert len(await reader.runs()) == 1


async def test_half_characters_and_control_characters_survive(journal: Journal, reader: Reader) -> None:
    story = Story()
    result = {"raw": "caf\udce9", "nul": "a\0b", "wide": "日本", "big": 2**80}
    await journal.record(story.created())
    await journal.record(
        story.step("one", "pending", "running"),
        story.step("one", "running", "failed", error="bad \udce9 \x1b[31m", result=result),
    )
    (step,) = await reader.steps(story.run_id)
    assert step.result == result
    assert step.error == "bad ? \x1b[31m"
