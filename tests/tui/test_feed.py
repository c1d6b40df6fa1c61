from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future

import pytest

from agentainer_tui.bridge.stream import Stream
from agentainer_tui.client import EngineFacts, Snapshot
from agentainer_tui.feed import Feed
from agentainer_tui.model import reduce_all
from agentainer_tui.views import RunRow, RunView, row_of
from engine.events import RunStatus
from tests.tui.scenes import counting, failed, finished
from tests.tui.story import Story, node


def view_of(story: Story) -> RunView:
    view = reduce_all(None, story.events)
    assert view is not None
    return view


def seeded(*rows: RunRow, page: int = 100) -> Feed:
    feed = Feed()
    feed.seed(Snapshot(EngineFacts("process"), (), tuple(rows)), page)
    return feed


def row(seq: int, workflow: str = "w", status: RunStatus = RunStatus.COMPLETED) -> RunRow:
    return RunRow(f"run{seq}", workflow, status, seq)


# -- what the app knows -------------------------------------------------------------------------------


def test_nothing_pushed_means_nothing_to_publish() -> None:
    assert Feed().flush() is None


def test_a_new_run_is_known_from_its_first_event_and_forgotten_in_full_after_its_end() -> None:
    feed, story = Feed(), counting()
    feed.push(story.events)
    changes = feed.flush()
    assert changes is not None
    assert changes.views == {story.run_id}
    assert feed.rows[story.run_id].total == 3
    assert [run.id for run in feed.active()] == [story.run_id]
    feed.push(story.finish().events[-1:])
    changes = feed.flush()
    assert changes is not None
    assert changes.finished == (story.run_id,)
    assert story.run_id not in feed.views, "nobody looks at it: only its row is kept"
    assert feed.rows[story.run_id].status == "completed"
    assert feed.active() == []


def test_a_run_that_is_open_keeps_its_view_until_it_is_closed() -> None:
    feed, story = Feed(), failed()
    feed.open(story.run_id)
    feed.push(story.events)
    feed.flush()
    assert story.run_id in feed.views
    feed.close(story.run_id)
    assert story.run_id not in feed.views


def test_what_comes_while_a_run_is_read_is_applied_after_it() -> None:
    feed, story = Feed(), Story().create([node("a")]).start()
    assert feed.begin_loading(story.run_id)
    assert not feed.begin_loading(story.run_id), "it is being read already"
    read = view_of(story)
    feed.push(story.run_step("a").events[-2:])
    feed.push(story.events[2:4])
    feed.flush()
    assert story.run_id not in feed.views
    feed.end_loading(story.run_id, read)
    assert feed.views[story.run_id].seq == story.seq


def test_events_of_a_run_nobody_knows_are_left_to_its_reading() -> None:
    feed, story = Feed(), failed()
    feed.push(story.events[-1:])
    changes = feed.flush()
    assert changes is not None
    assert not changes.rows
    assert feed.rows == {}


def test_pages_follow_each_other_and_a_short_one_is_the_last() -> None:
    feed = seeded(row(30), row(20), page=2)
    assert feed.next_page(None) == (True, 20)
    feed.add_page(None, [row(10)], 2)
    assert feed.next_page(None) == (False, 10)
    assert [run.seq for run in feed.runs_of(None)] == [30, 20, 10]


def test_a_list_has_no_gaps_when_an_older_run_is_known_from_elsewhere() -> None:
    feed = seeded(row(30), row(20), page=2)
    feed.add_rows([row(3, "other")])
    assert [run.seq for run in feed.runs_of(None)] == [30, 20], "what lies between 20 and 3 is not known yet"
    assert [run.seq for run in feed.runs_of("other")] == [3]
    assert feed.last_runs()["other"].seq == 3
    feed.add_page(None, [row(3, "other")], 2)
    assert [run.seq for run in feed.runs_of(None)] == [30, 20, 3]


def test_a_page_read_late_does_not_undo_what_events_have_said_since() -> None:
    feed, story = Feed(), finished("aa", 5)
    feed.push(story.events)
    feed.flush()
    stale = RunRow("aa", "hello", RunStatus.RUNNING, 5)
    feed.add_page(None, [stale], 100)
    assert feed.rows["aa"].status == "completed"


# -- what a retry does again --------------------------------------------------------------------------


def test_the_newest_runs_of_each_workflow_are_known_newest_first_and_no_more_than_asked_for() -> None:
    feed = seeded(*(row(seq, "w" if seq % 2 else "v") for seq in range(9, 0, -1)))
    assert {name: [one.seq for one in rows] for name, rows in feed.recent_runs(3).items()} == {
        "w": [9, 7, 5],
        "v": [8, 6, 4],
    }
    assert feed.last_runs()["v"].seq == 8


def test_a_row_says_how_far_a_run_is() -> None:
    assert (row_of(view_of(counting())).done, row_of(view_of(counting())).total) == (1, 3)


# -- two loops ----------------------------------------------------------------------------------------


@pytest.fixture
def other_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    assert not thread.is_alive()
    loop.close()


async def test_a_stream_hands_over_everything_in_order_from_another_loop(
    other_loop: asyncio.AbstractEventLoop,
) -> None:
    async def count() -> AsyncIterator[int]:
        for number in range(20_000):
            yield number

    found: list[int] = []
    batches = 0
    async for batch in Stream(other_loop, count).batches():
        found += batch
        batches += 1
    assert found == list(range(20_000))
    assert batches < 2_000, "they come in batches"


async def test_a_stream_holds_its_source_up_while_nobody_reads(
    other_loop: asyncio.AbstractEventLoop,
) -> None:
    made = 0
    full: Future[None] = Future()

    async def count() -> AsyncIterator[int]:
        nonlocal made
        while True:
            made += 1
            if made == 5_000:
                full.set_result(None)
            yield made

    stream = Stream(other_loop, count)
    await asyncio.wait_for(asyncio.wrap_future(full), 10)
    # The source's loop goes on working, but the source does not: it is asked for no more.
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), other_loop))
    assert made == 5_000
    batches = aiter(stream.batches())
    assert len(await anext(batches)) == 5_000
    await batches.aclose()  # type: ignore[attr-defined]


async def test_an_error_of_the_source_reaches_the_reader(other_loop: asyncio.AbstractEventLoop) -> None:
    async def fail() -> AsyncIterator[int]:
        yield 1
        raise OSError("gone")

    found: list[int] = []
    with pytest.raises(OSError, match="gone"):
        async for batch in Stream(other_loop, fail).batches():
            found += batch
    assert found == [1]


async def test_leaving_a_stream_ends_its_source(other_loop: asyncio.AbstractEventLoop) -> None:
    ended: Future[None] = Future()

    async def forever() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.set_result(None)

    batches = Stream(other_loop, forever).batches()
    assert list(await anext(aiter(batches))) == [1]
    await batches.aclose()
    await asyncio.wait_for(asyncio.wrap_future(ended), 10)


def test_deleted_runs_are_forgotten_with_those_within_them() -> None:
    feed = Feed()
    parent = Story("aaaa", first_seq=1).create([node("inner")]).start()
    child = Story("bbbb", first_seq=50)
    child.create([node("x")], parent={"run_id": "aaaa", "step_id": "inner", "attempt": 1})
    other = Story("cccc", first_seq=90).create([node("x")])
    feed.push([*parent.events, *child.events, *other.events])
    feed.flush()
    feed.forget(["aaaa"])
    assert set(feed.rows) == {"cccc"}
    assert set(feed.views) == {"cccc"}
