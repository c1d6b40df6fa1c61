"""Following the journal: nothing lost, nothing twice, in order, in bounded memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.events import Event
from engine.history import subscription as subscription_module
from engine.history.journal import Journal
from engine.history.subscription import Subscription
from tests.unit.history.story import Story


async def take(subscription: Subscription, count: int) -> list[Event]:
    async with asyncio.timeout(30):
        return [await anext(subscription) for _ in range(count)]


async def test_a_subscriber_sees_what_is_committed_from_now_on(journal: Journal) -> None:
    story = Story()
    await journal.record(story.created())
    async with journal.subscribe() as events:
        committed = await journal.record(story.run("pending", "running"), story.warning())
        assert await take(events, 2) == list(committed)


async def test_a_subscriber_in_the_past_gets_the_past_and_then_the_present(journal: Journal) -> None:
    story = Story()
    committed = list(await journal.record(story.created(), story.warning("1"), story.warning("2")))
    async with journal.subscribe(1) as events:
        answer = journal.record(story.warning("3"))
        assert await take(events, 2) == committed[1:]
        assert await take(events, 1) == list(await answer)


async def test_a_refused_call_is_never_seen(journal: Journal) -> None:
    story = Story()
    async with journal.subscribe() as events:
        journal.record(story.created())
        bad = journal.record(story.run("running", "completed"))
        journal.record(story.warning("after"))
        seen = await take(events, 2)
        assert [event.seq for event in seen] == [1, 2]
        assert bad.exception() is not None


async def test_one_runs_events_can_be_followed_alone(journal: Journal) -> None:
    mine, other = Story("mine"), Story("other")
    await journal.record(mine.created(), other.created())
    async with journal.subscribe(0, run_id="mine") as events:
        await journal.record(other.warning(), mine.warning("x"), other.warning())
        assert [event.run_id for event in await take(events, 2)] == ["mine", "mine"]


async def test_a_slow_subscriber_loses_nothing_and_holds_little(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_module, "_BUFFER_LIMIT", 50)
    monkeypatch.setattr(subscription_module, "_PAGE", 20)
    story = Story()
    await journal.record(story.created())
    async with journal.subscribe() as events:
        seen = []
        sent = 0
        for burst in (10, 45, 400, 3, 60, 1):
            for _ in range(burst):
                answer = journal.record(story.warning())
            await answer
            sent += burst
            assert len(events._live) <= 50
            # Takes some of it while more is coming.
            seen += await take(events, min(burst, 30))
        seen += await take(events, sent - len(seen))
        assert [event.seq for event in seen] == list(range(2, sent + 2))


async def test_readers_that_start_anywhere_while_many_write_see_every_event_once(journal: Journal) -> None:
    stories = [Story(f"run{number}") for number in range(8)]
    for story in stories:
        await journal.record(story.created())
    total = len(stories) * 200

    async def tell(story: Story) -> None:
        for number in range(200):
            journal.record(story.warning())
            if number % 10 == 0:
                await asyncio.sleep(0)

    async def follow(after: int) -> list[int]:
        async with journal.subscribe(after) as events:
            return [event.seq for event in await take(events, total + len(stories) - after)]

    followers = [asyncio.create_task(follow(after)) for after in (0, 3, 8)]
    await asyncio.gather(*(tell(story) for story in stories))
    late = asyncio.create_task(follow(100))
    for after, task in zip((0, 3, 8, 100), [*followers, late], strict=True):
        assert await task == list(range(after + 1, total + len(stories) + 1))


async def test_it_ends_with_the_journal_after_everything_was_delivered(database: Path) -> None:
    story = Story()
    journal = await Journal.open(database)
    events = journal.subscribe()
    behind = journal.subscribe(0)
    await journal.record(*story.whole())
    await journal.close()
    assert [event.seq async for event in events] == list(range(1, 9))
    assert [event.seq async for event in behind] == list(range(1, 9))
    async with asyncio.timeout(5):
        assert [event async for event in journal.subscribe()] == []


async def test_a_waiting_subscriber_wakes_when_it_is_closed(journal: Journal) -> None:
    events = journal.subscribe()
    waiting = asyncio.create_task(anext(events, None))
    await asyncio.sleep(0)
    await events.close()
    async with asyncio.timeout(5):
        assert await waiting is None
