"""kill -9 in the middle of commits: nothing that was acknowledged is lost, nothing is half written."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from sqlite3 import Connection

import pytest

from engine.events import EventType
from engine.history.journal import Journal
from engine.history.projection import rebuild
from engine.history.reader import Reader
from tests.unit.history.story import Story
from tests.unit.history.test_projection import views

# Records whole runs, and says the last number of each call as soon as it is acknowledged.
VICTIM = """
import asyncio, os, sys
from pathlib import Path
from sqlite3 import Connection
from engine.history.journal import Journal
from tests.unit.history.story import Story

async def main():
    journal = await Journal.open(Path(sys.argv[1]))
    async def worker(name):
        for number in range(100_000):
            for event in Story(f"{name}-{number}").whole():
                committed = await journal.record(event)
                os.write(1, f"{committed[-1].seq}\\n".encode())
    await asyncio.gather(*(worker(name) for name in "abcdefgh"))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 30, 700])
async def test_what_was_acknowledged_before_a_kill_is_there_afterwards(
    database: Path, acknowledged: int
) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(database)], stdout=subprocess.PIPE, cwd=Path.cwd(), text=True
    )
    # A victim that hangs is killed too, and then has acknowledged too little.
    watchdog = threading.Timer(60, victim.kill)
    watchdog.start()
    assert victim.stdout is not None
    seen = [int(victim.stdout.readline()) for _ in range(acknowledged)]
    victim.kill()
    seen += [int(line) for line in victim.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    victim.wait()
    watchdog.cancel()
    victim.stdout.close()

    # Reading needs no engine to clean up first, not even where the log's index is lost.
    async with Reader(database) as reader:
        found = await reader.events(limit=100_000)
    database.with_name("history.db-shm").unlink()
    async with Reader(database) as reader:
        assert await reader.events(limit=100_000) == found

    async with await Journal.open(database) as journal, Reader(database) as reader:
        events = await reader.events(limit=100_000)
        assert events == found
        # A prefix without holes, which holds all that was acknowledged.
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert len(events) >= max(seen) >= acknowledged
        runs = [event.run_id for event in events if event.type is EventType.RUN_CREATED]
        assert len(await reader.runs(limit=100_000)) == len(runs)

        # The views are those of exactly these events.
        def check(connection: Connection) -> None:
            before = views(connection)
            for run_id in runs:
                rebuild(connection, run_id)
            assert views(connection) == before

        await journal.maintain(check)
        # And the journal goes on from there.
        (event,) = await journal.record(Story("after").created())
        assert event.seq == len(events) + 1
    assert [path.name for path in database.parent.iterdir()] == ["history.db"]
