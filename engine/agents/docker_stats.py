"""What a container uses, as the engine's stats API tells: one stream for all who watch, or a single look."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from engine.agents.backend import Sample
from engine.agents.docker_actions import inspect
from engine.agents.docker_calls import EngineRefusedError
from engine.agents.docker_link import EngineLink
from engine.agents.docker_oom import Killing, kills_counted
from engine.agents.docker_streams import EngineStream, open_stream, parse_time
from engine.agents.feed import SampleFeed
from engine.errors import BackendError

# Between tries when the stream broke though the container goes on, in seconds.
_PAUSE = 1.0
# The engine answers a look with its next round of measuring, once a second.
_LOOK = 5.0


class ContainerStats:
    """The stats of one container.

    Args:
        link: to the engine.
        container_id: whose.
        exited: set when it has ended; the engine itself goes on measuring nothing for ever.
        killing: learns how near the container came to its limit.
        own_network: whether its traffic is its own, and not that of all who share a namespace.
    """

    def __init__(
        self,
        link: EngineLink,
        container_id: str,
        exited: asyncio.Event,
        killing: Killing,
        *,
        own_network: bool,
    ) -> None:
        self._link = link
        self._id = container_id
        self._exited = exited
        self._killing = killing
        self._own_network = own_network
        self._pid: int | None = None
        self._feed = SampleFeed(self._follow)

    def watch(self) -> AsyncGenerator[Sample, None]:
        """About one sample a second until the container ends, through one stream however many watch."""
        return self._feed.watch()

    async def look(self) -> Sample | None:
        """What it uses now; None if it has ended, or the engine does not say."""
        if self._exited.is_set():
            return None
        try:
            async with asyncio.timeout(_LOOK):
                stream = await self._open(stream="false", **{"one-shot": "true"})
                try:
                    body = b"".join([data async for data in stream])
                finally:
                    stream.close()
        except (BackendError, OSError, TimeoutError):
            return None
        return await self._read(body)

    async def _follow(self) -> AsyncGenerator[Sample, None]:
        while not self._exited.is_set():
            try:
                stream = await self._open(stream="true")
            except EngineRefusedError:
                return  # it is gone
            except BackendError:
                await self._pause()
                continue
            hang_up = asyncio.create_task(self._hang_up(stream), name=f"stats-{self._id[:12]}")
            try:
                with contextlib.suppress(OSError, ValueError):  # broken off: as good as ended
                    async for line in stream.lines():
                        if self._exited.is_set():
                            return
                        if (sample := await self._read(line)) is not None:
                            yield sample
            finally:
                hang_up.cancel()
                stream.close()
            await self._pause()

    async def _open(self, **query: str) -> EngineStream:
        path = ("containers", self._id, "stats")
        doing = f"measure {self._id[:12]}"
        deadline = self._link.deadlines.call
        return await open_stream(self._link.address, doing, "GET", path, query, deadline=deadline)

    async def _hang_up(self, stream: EngineStream) -> None:
        await self._exited.wait()
        stream.close()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE):
                await self._exited.wait()

    async def _read(self, text: bytes) -> Sample | None:
        try:
            stats = json.loads(text)
            sample = sample_of(stats)
            self._killing.pressure = max(self._killing.pressure, memory_pressure(stats))
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        await self._count_kills()
        if sample is not None and not self._own_network:
            return replace(sample, network_in=None, network_out=None)
        return sample

    async def _count_kills(self) -> None:
        """Ask the kernel itself, where it is this machine's, for processes killed for want of memory."""
        killing = self._killing
        if not killing.limited or killing.out_of_memory.is_set() or not self._link.address.local:
            return
        if self._pid is None:
            with contextlib.suppress(BackendError):
                found = await inspect(self._link.calls, self._id)
                self._pid = found["State"]["Pid"] if found else None
        if self._pid and kills_counted(self._pid, self._id):
            killing.out_of_memory.set()


def sample_of(stats: Mapping[str, Any]) -> Sample | None:
    """One answer of the stats API as a sample, whichever version of cgroups the engine's kernel has.

    None where it says nothing: the container does not run (any more).

    Raises:
        KeyError, TypeError, ValueError: it is not such an answer.
    """
    time = parse_time(stats["read"])
    memory = stats.get("memory_stats") or {}
    if time is None or "usage" not in memory:
        return None
    cached = _page_cache(memory)
    used = max(0, memory["usage"] - cached)
    highest = memory.get("max_usage")
    networks = stats.get("networks")
    read, written = _block_io(stats.get("blkio_stats") or {})
    return Sample(
        time=time,
        cpu_seconds=stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        memory=used,
        # The kernel's own peak counts the page cache, so what is cached now is taken off that, too.
        memory_peak=max(used, highest - cached) if highest else None,
        network_in=sum(card["rx_bytes"] for card in networks.values()) if networks else None,
        network_out=sum(card["tx_bytes"] for card in networks.values()) if networks else None,
        block_read=read,
        block_write=written,
        pids=(stats.get("pids_stats") or {}).get("current"),
    )


def memory_pressure(stats: Mapping[str, Any]) -> float:
    """The most memory, without the page cache, as a part of the limit; 0 where there is none known."""
    memory = stats.get("memory_stats") or {}
    limit = memory.get("limit")
    if not limit or "usage" not in memory:
        return 0.0
    return float(max(0, memory["usage"] - _page_cache(memory)) / limit)


def _page_cache(memory: Mapping[str, Any]) -> int:
    """What the kernel would give up: pages of files. Not those of tmpfs, which have no other place."""
    stats = memory.get("stats") or {}
    # Version 1 tells of the container alone and, as `total_…`, of it with the cgroups below it.
    return sum(
        int(stats.get(f"total_{name}", stats.get(name, 0))) for name in ("active_file", "inactive_file")
    )


def _block_io(stats: Mapping[str, Any]) -> tuple[int | None, int | None]:
    entries = stats.get("io_service_bytes_recursive")
    if entries is None:
        return None, None  # not known; an empty list means that nothing was moved yet
    moved = {"read": 0, "write": 0}
    for entry in entries:
        operation = str(entry["op"]).lower()  # version 1 writes `Read`, version 2 `read`
        if operation in moved:
            moved[operation] += int(entry["value"])
    return moved["read"], moved["write"]
