"""Container steps: cold ones beside the raw API and `docker run`, pooled ones beside cold ones."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import raw_docker
from benchmarks.figures import Figure, interleaved
from engine.facade import Engine, validate_file
from engine.settings import Settings

CHAIN = 20
FAN = 50
# More simultaneous container starts than this gain nothing on two cores, and hung dockerd at 32.
AT_ONCE = 4
NETWORK = "agentainer-network"
ALONE = {"network": "none", "redis_access": "none"}
SHARED = {"network": "run"}
POOL = {"warm_up": True}
# What `docker run` does beside it: in our network, or in the one that Docker has anyway.
SAME, BRIDGE = "same network", "bridge"

Document = dict[str, Any]
Target = tuple[float | None, float | None]


@dataclass(frozen=True, eq=False, slots=True)
class Way:
    """A way to run the steps of a job.

    Attributes:
        name: what the name of the job is followed by.
        options: what its steps have beyond the plain ones.
        floor: which `docker run` it is compared with.
        chain, fan: of both jobs, the ratio and the seconds that it should not exceed.
    """

    name: str
    options: Document
    floor: str
    chain: Target
    fan: Target


WAYS = (
    Way("", {}, SAME, chain=(0.95, None), fan=(0.95, None)),
    Way(", network: run", SHARED, SAME, chain=(0.55, 4.5), fan=(None, 6.0)),
    Way(", network: none", ALONE, BRIDGE, chain=(0.55, None), fan=(None, None)),
    Way(", pooled", {"pool": "warm"}, SAME, chain=(None, 1.5), fan=(None, 1.5)),
)


def steps(image: str, count: int, kind: str = "sequential", **more: Any) -> list[Document]:
    """Steps that do nothing in a container."""
    step = {"type": kind, "command": ["true"], "image": image, **more}
    return [{"id": f"s{number}", **step} for number in range(count)]


def document(members: Sequence[Document], *, at_once: int = AT_ONCE, **more: Any) -> Document:
    """A workflow of these steps."""
    return {"name": "bench", "config": {"max_parallel": at_once}, "steps": list(members), **more}


def busybox_figures() -> Iterator[Figure]:
    """All of them, with the image that the tests of the Docker backend use."""
    from tests import docker_images

    return container_figures(docker_images.image("busybox"))


def container_figures(image: str) -> Iterator[Figure]:
    """All of them."""
    yield from _whole_jobs(image)
    yield from asyncio.run(_latencies(image))


def _whole_jobs(image: str) -> Iterator[Figure]:
    """From command to exit, against `docker run` from a shell; all ways to do a job take turns."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        yield from _job(place, image, "one container step", 1, "sequential", {WAYS[0]: (None, 0.8)})
        chains, fans = {way: way.chain for way in WAYS}, {way: way.fan for way in WAYS}
        yield from _job(place, image, f"chain of {CHAIN}", CHAIN, "sequential", chains)
        yield from _job(place, image, f"fan-out of {FAN}", FAN, "parallel", fans)


def _job(
    directory: Path, image: str, name: str, count: int, kind: str, targets: Mapping[Way, Target]
) -> Iterator[Figure]:
    commands = [
        _command(directory, document(steps(image, count, kind, **way.options), pools={"warm": POOL}))
        for way in targets
    ]
    floors = {way.floor: _docker_run(image, way.floor, count, kind) for way in targets}
    seconds = interleaved(*commands, *floors.values())
    taken = dict(zip(floors, seconds[len(commands) :], strict=True))
    for (way, (target, limit)), value in zip(targets.items(), seconds, strict=False):
        floor = taken[way.floor]
        yield Figure(
            f"{name}{way.name}", value, f"docker run, {way.floor}", floor, target=target, limit=limit
        )


def _docker_run(image: str, network: str, count: int, kind: str) -> list[str]:
    """The same number of containers from a shell."""
    where = f"--network {NETWORK} " if network == SAME else ""
    once = f"docker run --rm {where}{image} true"
    chain = f"for i in $(seq {count}); do {once}; done"
    fan = f"seq {count} | xargs -P {AT_ONCE} -I% {once}"
    return ["sh", "-c", chain if kind == "sequential" else fan]


def _command(directory: Path, text: Document) -> list[str]:
    file = directory / f"{abs(hash(json.dumps(text)))}.json"
    file.write_text(json.dumps(text), encoding="utf-8")
    home = directory / "home"
    command = [sys.executable, "-m", "agentainer_tui", "--home", str(home), "run", str(file)]
    return [*command, "--backend", "docker"]


@dataclass(frozen=True, slots=True)
class Times:
    """Of one step or item, seconds since the epoch."""

    step_id: str
    item: int | None
    ready: float
    completed: float

    @property
    def taken(self) -> float:
        """From its turn to its end in the journal."""
        return self.completed - self.ready


async def _latencies(image: str) -> list[Figure]:
    """Step by step within one engine, from the times of its events."""
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(home=Path(directory), backend="docker", max_starts=AT_ONCE, max_tasks=8)
        async with await Engine.open(settings) as engine:
            bench = _Bench(engine, Path(directory), image)
            return [*await bench.cold(), *await bench.pooled()]


class _Bench:
    """One engine, measured from within."""

    def __init__(self, engine: Engine, directory: Path, image: str) -> None:
        self._engine = engine
        self._file = directory / "bench.json"
        self._image = image
        self._cold = 0.0

    async def _run(self, text: Document) -> list[Times]:
        self._file.write_text(json.dumps(text), encoding="utf-8")
        plan, problems = validate_file(self._file)
        if plan is None:
            raise RuntimeError(f"{problems}")
        run_id = await self._engine.start_run(plan, {}, source="bench")
        await self._engine.wait(run_id)
        ready: dict[str, float] = {}
        times = []
        for event in await self._engine.history.events(run_id):
            key = f"{event.step_id}/{event.item}"
            if event.type in ("step.started", "item.started"):
                ready[key] = event.time.timestamp()
            elif event.type in ("step.finished", "item.finished"):
                if event.data["status"] != "completed":
                    raise RuntimeError(f"{key}: {event.data}")
                times.append(Times(event.step_id or "", event.item, ready[key], event.time.timestamp()))
        return times

    async def cold(self) -> list[Figure]:
        """New containers: ready to completed, and how many in a second."""
        ours: list[float] = []
        floor: list[float] = []
        for _ in range(4):
            ours += [one.taken for one in await self._run(document(steps(self._image, 5)))]
            floor += [await asyncio.to_thread(raw_docker.cold_step, self._image, NETWORK) for _ in range(5)]
        self._cold = statistics.median(ours)
        took = Figure(
            "cold step, ready to completed",
            self._cold * 1000,
            "raw API, same calls",
            statistics.median(floor) * 1000,
            unit="ms",
            target=1.10,
        )
        times = await self._run(document(steps(self._image, FAN, "parallel", **ALONE)))
        rate = len(times) / (max(one.completed for one in times) - min(one.ready for one in times))
        best = await asyncio.to_thread(raw_docker.throughput, self._image, "none", FAN, AT_ONCE)
        return [
            took,
            Figure("50 cold steps, 4 at once, no network", rate, "raw API", best, "steps/s", target=0.95),
        ]

    async def pooled(self) -> list[Figure]:
        """Warm agents: one after the other, one task per agent, and eight at a time."""
        text = document(steps(self._image, 300, pool="warm"), pools={"warm": POOL})
        await self._run(document(steps(self._image, 20, pool="warm"), pools={"warm": POOL}))
        taken = sorted(one.taken * 1000 for one in await self._run(text))
        median, late = statistics.median(taken), taken[int(0.99 * len(taken))]
        return [
            Figure("pooled step, median of 300", median, "cold step", self._cold * 1000, "ms", 1 / 60, 5.0),
            Figure("pooled step, p99 of 300", late, "cold step", self._cold * 1000, "ms", limit=20.0),
            await self._single_use(),
            await self._throughput(),
        ]

    async def _single_use(self) -> Figure:
        """Half as fast as containers can be started: two and a half in a second."""
        members: list[Document] = []
        for number in range(20):
            members.append({"id": f"pause{number}", "type": "delay", "delay": "400ms"})
            members.append({"id": f"s{number}", "command": ["true"], "image": self._image, "pool": "single"})
        pool = {"min_size": 3, "max_size": 8, "max_agent_uses": 1, "warm_up": True}
        times = await self._run(document(members, pools={"single": pool}))
        taken = [one.taken * 1000 for one in times if one.step_id.startswith("s")][2:]
        median = statistics.median(taken)
        return Figure(
            "single-use pooled step, 2.5/s", median, "cold step", self._cold * 1000, "ms", 1 / 20, 10.0
        )

    async def _throughput(self) -> Figure:
        """Eight warm agents and 200 tasks, after 200 others."""
        pool = {"min_size": 8, "max_size": 8, "warm_up": True}
        step: Document = {
            "id": "m",
            "type": "map",
            "image": self._image,
            "command": ["true"],
            "pool": "eight",
        }
        step["map_config"] = {"input_path": "$.items"}
        more = {"pools": {"eight": pool}, "state": {"items": list(range(200))}}
        for _ in range(3):
            times = await self._run(document([step], at_once=8, **more))
        items = [one for one in times if one.item is not None]
        rate = len(items) / (max(one.completed for one in items) - min(one.ready for one in items))
        return Figure(
            "200 pooled tasks over 8 agents",
            rate,
            "cold steps, 1 at a time",
            1 / self._cold,
            "tasks/s",
            limit=500,
        )
