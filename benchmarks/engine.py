"""The engine without containers: no-op steps on the in-memory backend, journalled in real SQLite.

The floor of the chain and of the wide graph is SQLite taking the rows of the same events and nothing else,
committed for every step of the chain, a hundred rows at a time for the wide graph.
`python -m benchmarks.engine` prints these figures alone.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentainer_tui import cli  # noqa: F401 - it sets how often garbage is looked for, as in every engine
from benchmarks.figures import HEADER, Figure, run
from benchmarks.journal import raw
from engine.agents.memory import MemoryBackend, Script
from engine.clock import SystemClock
from engine.events import RunStatus
from engine.facade import Engine
from engine.history.journal import Journal
from engine.history.logs import LogWriter
from engine.history.reader import Reader
from engine.orchestrator.context import Services
from engine.orchestrator.manager import Orchestrator
from engine.orchestrator.slots import Slots
from engine.settings import Settings, load_settings
from engine.state.memory_store import MemoryStateStore
from engine.workflows.loader import load_text

STEPS = 2_000
FEW, MANY = 100, 10_000
AT_ONCE = 5
# What the floor writes for a step, `journal.calls_of_a_step`.
EVENTS = 5

CHAIN_TARGET = 2_000.0
WIDE_TARGET = 3_000.0
FLAT = 1.15
MAP_MEGABYTES = 60.0
IDLE_MEGABYTES = 80.0
IDLE_SECONDS = 3.0

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: seconds from its start to its committed end, bytes it took more, most agents at once."""

    seconds: float
    grown: int
    most: int


@asynccontextmanager
async def in_memory(home: Path) -> AsyncIterator[tuple[Orchestrator, Reader, MemoryBackend]]:
    """An engine whose agents and shared state are in memory, and whose journal is below `home`."""
    settings = Settings(home=home)
    logs = settings.logs
    backend = MemoryBackend(lambda spec: Script())
    reader = Reader(settings.database)
    async with await Journal.open(settings.database) as journal:
        services = Services(
            journal=journal,
            store=MemoryStateStore(),
            backend=backend,
            facts=await backend.open(),
            clock=SystemClock(),
            settings=settings,
            slots=Slots.of(settings.max_tasks),
            instance="bench",
            open_log=lambda path, budget: LogWriter(logs, path, limit=settings.log_limit, budget=budget),
        )
        orchestrator = Orchestrator(services, reader)
        try:
            yield orchestrator, reader, backend
        finally:
            await orchestrator.close(by="benchmark")
            await reader.close()


def chain(count: int) -> Document:
    return {"name": "chain", "steps": _steps(count, "sequential")}


def wide(count: int) -> Document:
    return {"name": "wide", "steps": _steps(count, "parallel")}


def mapped(count: int) -> Document:
    each = {"input_path": "$.numbers", "max_concurrency": AT_ONCE}
    step = {"id": "each", "type": "map", "command": ["true"], "map_config": each}
    return {"name": "mapped", "state": {"numbers": list(range(count))}, "steps": [step]}


def _steps(count: int, kind: str) -> list[Document]:
    return [{"id": f"s{number}", "type": kind, "command": ["true"]} for number in range(count)]


async def ran(document: Document) -> Ran:
    """Run a document once, in an engine of its own."""
    loaded = load_text(json.dumps(document), "bench.json")
    assert loaded.plan is not None, "\n".join(map(str, loaded.problems))
    with tempfile.TemporaryDirectory() as directory:
        async with in_memory(Path(directory)) as (orchestrator, reader, backend):
            before = _resident()
            started = time.perf_counter()
            run_id = await orchestrator.start(loaded.plan, {}, source="bench")
            await orchestrator.wait(run_id)
            seconds = time.perf_counter() - started
            grown = max(0, _peak() - before)
            status = (await reader.detail(run_id)).run.status
            assert status == RunStatus.COMPLETED, status
    return Ran(seconds, grown, backend.most_running)


def _resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _peak() -> int:
    """Bytes of memory that this process has ever had; what `getrusage` says may be its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def engine_figures(*, passes: int = 3) -> Iterator[Figure]:
    """All of them."""
    for name, document, at_once, limit in (
        (f"chain of {STEPS:,} no-op steps", chain, EVENTS, CHAIN_TARGET),
        (f"{STEPS:,} no-op steps side by side", wide, 100, WIDE_TARGET),
    ):
        ours, floor = [], []
        for _ in range(passes):
            ours.append(STEPS / _seconds(document, STEPS))
            with tempfile.TemporaryDirectory() as directory:
                floor.append(raw(Path(directory), STEPS, at_once) / EVENTS)
        what = f"SQLite, the same events, {at_once} at a time"
        medians = map(statistics.median, (ours, floor))
        yield Figure(name, next(medians), what, next(medians), "steps/s", limit=limit)
    for name, document in (("chain", chain), ("graph side by side", wide)):
        yield _flatness(name, document)
    yield from _map_figures()
    yield from _idle_figures()


def _seconds(document: Callable[[int], Document], count: int) -> float:
    return asyncio.run(ran(document(count))).seconds


def _flatness(name: str, document: Callable[[int], Document]) -> Figure:
    """What a step costs in a large graph, against the same in small ones before and after it."""
    small = [_seconds(document, FEW) / FEW for _ in range(10)]
    cost = _seconds(document, MANY) / MANY * 1e6
    small += [_seconds(document, FEW) / FEW for _ in range(10)]
    floor = statistics.median(small) * 1e6
    return Figure(f"a step of a {name} of {MANY:,}", cost, f"one of {FEW}", floor, "us", target=FLAT)


def _map_figures() -> Iterator[Figure]:
    """A large map, in a process of its own because memory does not shrink again."""
    found = json.loads(run([sys.executable, "-m", "benchmarks.engine", "map"]))
    name = f"map of {MANY:,} items, {AT_ONCE} at once"
    with tempfile.TemporaryDirectory() as directory:
        floor = raw(Path(directory), MANY, 100) / EVENTS
    yield Figure(name, MANY / found["seconds"], "SQLite, the same events, 100 at a time", floor, "items/s")
    yield Figure(f"{name}: most at once", found["most"], "what is allowed", AT_ONCE, "items", target=1.0)
    grown = found["grown"] / 1e6
    yield Figure(f"{name}: memory grown by", grown, "what is allowed", MAP_MEGABYTES, "MB", target=1.0)


def _idle_figures() -> Iterator[Figure]:
    """An engine that has nothing to do, in a process of its own."""
    found = json.loads(run([sys.executable, "-m", "benchmarks.engine", "idle"]))
    bare = json.loads(run([sys.executable, "-c", _BARE]))
    yield Figure("idle engine: memory", found["resident"] / 1e6, "python with asyncio", bare / 1e6, "MB",
                 limit=IDLE_MEGABYTES)  # fmt: skip
    turns = found["turns"] / IDLE_SECONDS
    yield Figure("idle engine: turns of its loop a second", turns, "one a second", 1.0, "turns", target=1.0)


_BARE = """
import asyncio, resource
async def rest(): await asyncio.sleep(0.1)
asyncio.run(rest())
resident = int(open("/proc/self/statm").read().split()[1])
print(resident * resource.getpagesize())
"""


async def idle() -> dict[str, float]:
    """What an engine with local processes and a Redis of its own uses while nothing happens."""
    with tempfile.TemporaryDirectory() as directory:
        async with await Engine.open(load_settings(home=directory, backend="process")):
            await asyncio.sleep(1.0)
            selects = _count_selects(asyncio.get_running_loop())
            before = selects()
            await asyncio.sleep(IDLE_SECONDS)
            return {"resident": _resident(), "turns": selects() - before}


def _count_selects(loop: asyncio.AbstractEventLoop) -> Callable[[], int]:
    """Count how often the loop wakes up from now on."""
    selector = loop._selector  # type: ignore[attr-defined]  # nothing public tells
    select, count = selector.select, 0

    def counted(timeout: float | None = None) -> Any:
        nonlocal count
        count += 1
        return select(timeout)

    selector.select = counted
    return lambda: count


def main() -> None:
    """Print the figures, or as JSON what one of the processes that are measured alone has to tell."""
    match sys.argv[1:]:
        case ["map"]:
            found = asyncio.run(ran(mapped(MANY)))
            print(json.dumps({"seconds": found.seconds, "grown": found.grown, "most": found.most}))
        case ["idle"]:
            print(json.dumps(asyncio.run(idle())))
        case _:
            print(HEADER)
            for figure in engine_figures():
                print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
