"""How soon a long history answers, against the same table read by SQLite alone in the same run.

100,000 runs of three steps; figures over all of them, as `stats` prints them, have to come in well under a
second. `python -m benchmarks.history` prints these figures alone.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.figures import HEADER, Figure
from engine.clock import isoformat
from engine.history.database import connect_writer
from engine.history.migrations import migrate
from engine.history.reader import Reader
from engine.history.schema import KEEP_FIGURES
from engine.insight import insight

RUNS = 100_000
WORKFLOWS = 10
STEPS = ("fetch", "build", "publish")
# Seconds for everything that `stats` asks.
ALLOWED = 1.0


def fill(path: Path, runs: int, *, seed: int = 4) -> None:
    """Make a history of `runs` runs over the last 90 days, written straight into the views."""
    chance = random.Random(seed)
    now = datetime.now(UTC)
    connection = connect_writer(path)
    migrate(connection, path)
    connection.execute("BEGIN")
    for number in range(runs):
        created = now - timedelta(days=90) * (1 - number / runs)
        failed = chance.random() < 0.1
        taken = [chance.lognormvariate(1, 1) for _ in STEPS]
        run_id = f"{chance.getrandbits(48):012x}"
        connection.execute(
            "INSERT INTO runs (seq, id, workflow, digest, status, reason, error, backend, params,"
            " initial_state, created_at, started_at, finished_at, duration)"
            " VALUES (?, ?, ?, 'd', ?, ?, ?, 'docker', '{}', '{}', ?, ?, ?, ?)",
            (
                *(number + 1, run_id, f"workflow{number % WORKFLOWS}", "failed" if failed else "completed"),
                *(("task_failed", "step 'publish' failed: no luck") if failed else (None, None)),
                *(isoformat(created),) * 2,
                *(isoformat(created + timedelta(seconds=sum(taken))), sum(taken)),
            ),
        )
        connection.executemany(
            "INSERT INTO steps (run_id, id, name, type, ordinal, depends_on, status, started_at, duration)"
            " VALUES (?, ?, ?, 'sequential', 0, '[]', ?, ?, ?)",
            [
                (run_id, step, step, "failed" if failed and step == STEPS[-1] else "completed",
                 isoformat(created), seconds)
                for step, seconds in zip(STEPS, taken, strict=True)
            ],
        )  # fmt: skip
        connection.executemany(
            "INSERT INTO attempts (run_id, step_id, item, number, status, task_id, agent, backend, log,"
            " created_at, started_at, duration, placement, phases, usage)"
            " VALUES (?, ?, -1, 1, 'completed', 't', 'a', 'docker', 'l', ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(run_id, step, isoformat(created), isoformat(created), seconds),
                    json.dumps({"mode": "shell", "agent": "w", "reused": chance.random() < 0.9, "uses": 2}),
                    json.dumps({"queue": chance.random(), "create": 0.01, "start": 0.2, "run": seconds}),
                    json.dumps({"cpu_seconds": seconds / 3, "memory_peak": 20_000_000, "network_in": 900}),
                )
                for step, seconds in zip(STEPS, taken, strict=True)
            ],
        )
    connection.execute(KEEP_FIGURES.format(attempts="1", runs="1"))
    connection.execute("COMMIT")
    connection.close()


async def answered(path: Path, **scope: object) -> float:
    """Seconds to all the figures of `stats`."""
    async with Reader(path) as reader:
        begun = time.perf_counter()
        await insight(reader, **scope)  # type: ignore[arg-type]
        return time.perf_counter() - begun


def floor(path: Path) -> float:
    """Seconds to read the five columns that durations and counts need, in their order."""
    connection = sqlite3.connect(path)
    begun = time.perf_counter()
    connection.execute(
        "SELECT workflow, child, status, created_at, duration FROM run_figures ORDER BY duration"
    ).fetchall()
    taken = time.perf_counter() - begun
    connection.close()
    return taken


def history_figures(*, runs: int = RUNS, passes: int = 5) -> Iterator[Figure]:
    """The figures, each the median of interleaved passes."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "history.db"
        fill(path, runs)
        week = datetime.now(UTC) - timedelta(days=7)
        for name, scope in (
            (f"figures over {runs:,} runs", {}),
            (f"one workflow of {WORKFLOWS}", {"workflow": "workflow3"}),
            ("the last 7 of 90 days", {"since": week}),
        ):
            ours, raw = list[float](), list[float]()
            for _ in range(passes):
                ours.append(asyncio.run(answered(path, **scope)))
                raw.append(floor(path))
            yield Figure(
                name,
                statistics.median(ours),
                "all durations, SQLite",
                statistics.median(raw),
                limit=None if scope else ALLOWED,
            )


if __name__ == "__main__":
    print(HEADER)
    for figure in history_figures():
        print(figure.line(), flush=True)
