"""One source of samples for all watchers, open only while there are any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

from engine.agents.backend import Sample
from engine.agents.feed import SampleFeed
from tests.backend_contract import soon


def sample(number: int) -> Sample:
    return Sample(datetime.now(UTC), cpu_seconds=number, memory=1)


class Source:
    """Gives what a test puts in; counts how often it is open."""

    def __init__(self) -> None:
        self.opened = 0
        self.open_now = 0
        self.most_open = 0
        self.slow_close = False
        self.samples: asyncio.Queue[Sample | None] = asyncio.Queue()

    async def __call__(self) -> AsyncGenerator[Sample, None]:
        self.opened += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            while (found := await self.samples.get()) is not None:
                yield found
        finally:
            if self.slow_close:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            self.open_now -= 1


async def test_nothing_is_opened_before_somebody_watches() -> None:
    source = Source()
    feed = SampleFeed(source)
    feed.watch()
    await asyncio.sleep(0)
    assert source.opened == 0


async def test_several_watchers_share_one_source_and_a_late_one_gets_the_newest_at_once() -> None:
    source = Source()
    feed = SampleFeed(source)
    async with aclosing(feed.watch()) as first:
        source.samples.put_nowait(sample(1))
        assert (await soon(anext(first))).cpu_seconds == 1
        async with aclosing(feed.watch()) as second:
            assert (await soon(anext(second))).cpu_seconds == 1
            source.samples.put_nowait(sample(2))
            assert (await soon(anext(first))).cpu_seconds == 2
            assert (await soon(anext(second))).cpu_seconds == 2
        assert source.open_now == 1
    assert (source.opened, source.open_now) == (1, 0)


async def test_the_source_is_closed_when_the_last_watcher_has_gone_and_opened_anew_for_the_next() -> None:
    source = Source()
    source.slow_close = True
    feed = SampleFeed(source)
    for number in (1, 2):
        async with aclosing(feed.watch()) as samples:
            source.samples.put_nowait(sample(number))
            assert (await soon(anext(samples))).cpu_seconds == number
        assert source.open_now == 0
    assert (source.opened, source.most_open) == (2, 1)


async def test_a_watcher_that_comes_while_the_source_is_being_closed_gets_one_of_its_own_after_it() -> None:
    source = Source()
    source.slow_close = True
    feed = SampleFeed(source)
    first = feed.watch()
    source.samples.put_nowait(sample(1))
    await soon(anext(first))
    closing = asyncio.ensure_future(first.aclose())
    await asyncio.sleep(0)

    async with aclosing(feed.watch()) as second:
        source.samples.put_nowait(sample(2))
        assert (await soon(anext(second))).cpu_seconds == 2
    await soon(closing)
    assert (source.opened, source.most_open, source.open_now) == (2, 1, 0)


async def test_all_watchers_end_with_the_source() -> None:
    source = Source()
    feed = SampleFeed(source)

    async def watch() -> list[float]:
        return [found.cpu_seconds async for found in feed.watch()]

    watchers = [asyncio.create_task(watch()) for _ in range(3)]
    await asyncio.sleep(0)
    source.samples.put_nowait(sample(1))
    source.samples.put_nowait(None)
    for found in await soon(asyncio.gather(*watchers)):
        assert found in ([1], [])
    assert source.open_now == 0


async def test_a_cancelled_watcher_lets_go() -> None:
    source = Source()
    feed = SampleFeed(source)

    async def watch() -> None:
        async with aclosing(feed.watch()) as samples:
            async for _ in samples:
                pass

    watcher = asyncio.create_task(watch())
    while not source.open_now:
        await asyncio.sleep(0)
    watcher.cancel()
    await soon(asyncio.wait({watcher}))
    assert watcher.cancelled() and source.open_now == 0


async def test_a_slow_watcher_gets_the_newest_sample_not_old_ones() -> None:
    source = Source()
    feed = SampleFeed(source)
    async with aclosing(feed.watch()) as samples:
        source.samples.put_nowait(sample(1))
        await soon(anext(samples))
        for number in range(2, 50):
            source.samples.put_nowait(sample(number))
        while not source.samples.empty():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (await soon(anext(samples))).cpu_seconds == 49
