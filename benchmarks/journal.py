"""How fast the journal takes events, against what SQLite itself does on the same disk in the same run.

The floor writes the same event rows and nothing else: no views, no compare-and-set, no answer to anyone.
Targets: at least 20,000 events/s grouped; at 1,000 events/s acknowledged within 10 ms (p95).
`python -m benchmarks.journal` prints these figures alone.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from benchmarks.figures import HEADER, Figure
from engine.clock import isoformat
from engine.events import Event, EventType
from engine.history.journal import Journal
from engine.history.moves import to_json
from engine.history.schema import VERSIONS

THROUGHPUT_TARGET = 20_000
LATENCY_TARGET = 0.010
RATE = 1_000


def created(run_id: str, steps: int) -> Event:
    """The event that creates a run of that many steps."""
    plan = [
        {"id": f"step{n}", "name": f"Step {n}", "type": "sequential", "ordinal": n, "depends_on": []}
        for n in range(steps)
    ]
    data = {"workflow": "bench", "digest": "d", "params": {}, "backend": "memory", "state": {}, "plan": plan}
    return Event(run_id, EventType.RUN_CREATED, datetime.now(UTC), data=data)


def calls_of_a_step(run_id: str, step: str) -> Iterator[tuple[Event, ...]]:
    """What the engine records for a step with one attempt: three calls, five events."""

    def event(type_: EventType, attempt: int | None = None, **data: object) -> Event:
        return Event(run_id, type_, datetime.now(UTC), step, None, attempt, data)

    yield (
        event(EventType.STEP_STARTED, old="pending", status="running"),
        event(
            EventType.ATTEMPT_CREATED,
            1,
            task_id=f"task-{run_id}-{step}-1",
            agent=f"agentainer-{step}-1",
            backend="memory",
            image="busybox",
            command=["true"],
            log=f"{run_id}/{step}.1.log",
            spec_digest="0123456789abcdef",
        ),
    )
    yield (event(EventType.ATTEMPT_STARTED, 1, old="pending", status="running", agent_id="0123456789ab"),)
    yield (
        event(EventType.ATTEMPT_FINISHED, 1, old="running", status="completed", exit_code=0, kept=False),
        event(
            EventType.STEP_FINISHED,
            old="running",
            status="completed",
            result={"count": 1},
            exit_code=0,
            changes={"set": {step: {"count": 1}}, "removed": []},
        ),
    )


def raw(directory: Path, steps: int, at_once: int) -> float:
    """Events/s of SQLite's `executemany`, `at_once` rows to a transaction."""
    rows = [
        (e.run_id, e.type.value, isoformat(e.time), e.step_id, e.item, e.attempt, to_json(dict(e.data)))
        for n in range(steps)
        for e in chain.from_iterable(calls_of_a_step("run", f"step{n}"))
    ]
    connection = sqlite3.connect(directory / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    for statement in VERSIONS[0]:
        connection.execute(statement)
    insert = (
        "INSERT INTO events (run_id, type, time, step_id, item, attempt, data) VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    started = time.perf_counter()
    for place in range(0, len(rows), at_once):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, rows[place : place + at_once])
        connection.execute("COMMIT")
    taken = time.perf_counter() - started
    connection.close()
    return len(rows) / taken


async def grouped(directory: Path, steps: int) -> float:
    """Events/s when everything is recorded as fast as possible: groups are as large as they get."""
    async with await Journal.open(directory / "grouped.db") as journal:
        await journal.record(created("run", steps))
        calls = [call for n in range(steps) for call in calls_of_a_step("run", f"step{n}")]
        started = time.perf_counter()
        await asyncio.gather(*(journal.record(*call) for call in calls))
        return sum(map(len, calls)) / (time.perf_counter() - started)


async def wide(directory: Path, steps: int) -> float:
    """Events/s of 50 tasks that each wait for every answer."""
    async with await Journal.open(directory / "wide.db") as journal:
        await journal.record(created("run", steps))

        async def work(first: int) -> None:
            for n in range(first, steps, 50):
                for call in calls_of_a_step("run", f"step{n}"):
                    await journal.record(*call)

        started = time.perf_counter()
        await asyncio.gather(*(work(first) for first in range(50)))
        return 5 * steps / (time.perf_counter() - started)


async def one_by_one(directory: Path, steps: int) -> float:
    """Events/s of a chain: every call waits for the one before."""
    async with await Journal.open(directory / "single.db") as journal:
        await journal.record(created("run", steps))
        started = time.perf_counter()
        for n in range(steps):
            for call in calls_of_a_step("run", f"step{n}"):
                await journal.record(*call)
        return 5 * steps / (time.perf_counter() - started)


async def paced(directory: Path, steps: int) -> float:
    """p95 of the seconds to an acknowledgement at 1,000 events/s."""
    async with await Journal.open(directory / "paced.db") as journal:
        await journal.record(created("run", steps))
        delays: list[float] = []

        async def record(call: tuple[Event, ...]) -> None:
            begun = time.perf_counter()
            await journal.record(*call)
            delays.append(time.perf_counter() - begun)

        due = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for n in range(steps):
                for call in calls_of_a_step("run", f"step{n}"):
                    due += len(call) / RATE
                    await asyncio.sleep(due - time.perf_counter())
                    group.create_task(record(call))
        return statistics.quantiles(delays, n=20)[-1]


def journal_figures(*, steps: int = 2_000, passes: int = 5) -> Iterator[Figure]:
    """The figures, each the median of interleaved passes."""
    jobs: dict[str, tuple[Job, Job, str]] = {
        "journal, grouped": (
            grouped,
            _raw(100),
            "SQLite, 100 rows a transaction",
        ),
        "journal, 50 tasks awaiting each answer": (wide, _raw(100), "SQLite, 100 rows a transaction"),
        "journal, one call at a time": (one_by_one, _raw(1), "SQLite, 1 row a transaction"),
    }
    for name, (ours, floor, floor_name) in jobs.items():
        values: tuple[list[float], list[float]] = ([], [])
        for _ in range(passes):
            for job, found in zip((ours, floor), values, strict=True):
                found.append(_measure(job, steps))
        limit = THROUGHPUT_TARGET if ours is grouped else None
        medians = map(statistics.median, values)
        yield Figure(name, next(medians), floor_name, next(medians), "ev/s", limit=limit)
    delays = [_measure(paced, 400) * 1e3 for _ in range(passes)]
    name = f"journal, acknowledged at {RATE:,} events/s, p95"
    yield Figure(name, statistics.median(delays), "what is allowed", LATENCY_TARGET * 1e3, "ms", target=1.0)


Job = Callable[[Path, int], Awaitable[float]]


def _raw(at_once: int) -> Job:
    async def job(directory: Path, steps: int) -> float:
        return raw(directory, steps, at_once)

    return job


def _measure(job: Job, steps: int) -> float:
    """One figure, in a directory of its own."""

    async def run() -> float:
        with tempfile.TemporaryDirectory() as directory:
            return await job(Path(directory), steps)

    return asyncio.run(run())


if __name__ == "__main__":
    print(HEADER)
    for figure in journal_figures():
        print(figure.line(), flush=True)
