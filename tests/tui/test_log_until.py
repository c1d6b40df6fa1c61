"""A log in the past: only what had been written by then, and no more of it than there was."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from agentainer_tui.log_source import Extent, LogLine
from agentainer_tui.log_until import LogUntil
from engine.clock import isoformat
from tests.tui.fake_client import FakeLog

BEGIN = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def line(second: float, text: str = "", **more: bool) -> LogLine:
    return LogLine(
        isoformat(BEGIN + timedelta(seconds=second)),
        "stdout",
        text or f"at {second}",
        more.get("partial", False),
    )


def at(second: float) -> float:
    return BEGIN.timestamp() + second


async def extent_of(log: LogUntil) -> Extent:
    async for extent in log.watch():
        return extent
    raise AssertionError("it told nothing")


async def test_lines_that_were_written_later_are_not_there() -> None:
    source = FakeLog([line(second) for second in range(100)])
    for moment in (-1.0, 0, 0.5, 1, 37, 98.5, 99, 1000):
        log = LogUntil(source, at(moment))
        expected = sum(second <= moment for second in range(100))
        assert (await extent_of(log)).last == expected
        found = await log.lines(range(0, 100))
        assert list(found) == list(range(expected))
        stretch = await log.stretch(0, None)
        assert (len(stretch.lines) if stretch else 0) == expected
        assert await log.stretch(expected, None) is None


async def test_the_moment_can_be_moved_both_ways_while_someone_watches() -> None:
    source = FakeLog([line(second) for second in range(10)])
    source.end()
    log = LogUntil(source, at(4))
    ends: list[int] = []
    async with asyncio.timeout(10):
        async for extent in log.watch():
            assert not extent.over
            ends.append(extent.end)
            if len(ends) == 1:
                log.move(at(2))
            elif len(ends) == 2:
                log.move(at(8))
            else:
                break
    assert ends == [5, 3, 9]


async def test_what_is_written_now_does_not_come_into_the_past() -> None:
    source = FakeLog([line(0)])
    log = LogUntil(source, at(5))
    ends: list[int] = []
    async with asyncio.timeout(10):
        async for extent in log.watch():
            ends.append(extent.end)
            if len(ends) == 1:
                source.write([line(3), line(9)])
            else:
                break
    assert ends == [1, 2]


async def test_a_line_whose_end_is_still_to_come_is_there_from_its_first_piece_on() -> None:
    source = FakeLog([line(0), line(2, "half a ", partial=True)])
    assert await extent_of(LogUntil(source, at(1))) == Extent(0, 1, 0)
    assert await extent_of(LogUntil(source, at(2))) == Extent(0, 1, 1)


async def test_lines_without_a_time_belong_to_those_before_them() -> None:
    damaged = LogLine("", "stdout", "?")
    source = FakeLog([damaged, line(1), damaged, damaged, line(5), damaged])
    assert (await extent_of(LogUntil(source, at(1)))).end == 4
    assert (await extent_of(LogUntil(source, at(0)))).end == 1
    assert (await extent_of(LogUntil(source, at(5)))).end == 6
