"""What the engine tells of containers that run: what they use, their health, pauses, and want of memory."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.agents.backend import AgentPhase, Limits, Notice, Sample
from engine.agents.docker import DockerBackend
from tests import docker_images
from tests.backend_contract import begin, make_spec, soon
from tests.docker.proxy import Proxy

pytestmark = pytest.mark.docker

MIB = 1 << 20
# Memory of its own, which no page cache is: a file system in memory.
_HOLDS = "dd if=/dev/zero of=/dev/shm/held bs=1M count={} 2>/dev/null; echo ready; sleep 600"


@pytest.fixture
def image(busybox_image: str) -> str:
    return busybox_image


@dataclass
class Heard:
    """A listener that can be waited on."""

    notices: list[Notice] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._news.set()

    async def kinds(self, number: int) -> list[str]:
        """The kinds, once there are so many."""

        async def enough() -> None:
            while len(self.notices) < number:
                self._news.clear()
                await self._news.wait()

        await soon(enough())
        return [notice.kind for notice in self.notices]


async def settled(backend: DockerBackend, name: str, at_least: int) -> Sample:
    """A sample of an agent that uses so many bytes of memory."""

    async def found() -> Sample:
        async with aclosing(backend.samples(name)) as samples:
            async for sample in samples:
                if sample.memory >= at_least:
                    return sample
        raise AssertionError("it has ended")

    return await soon(found())


# -- samples ----------------------------------------------------------------------------------------------


async def test_the_memory_that_a_container_holds_is_seen_and_its_peak(
    backend: DockerBackend, instance: str, image: str
) -> None:
    script = (
        "dd if=/dev/zero of=/dev/shm/held bs=1M count=40 2>/dev/null; rm /dev/shm/held; "
        "dd if=/dev/zero of=/dev/shm/held bs=1M count=10 2>/dev/null; echo ready; sleep 600"
    )
    spec = make_spec(instance, script, image, limits=Limits(memory_bytes=64 * MIB))
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    sample = await settled(backend, spec.name, 10 * MIB)
    assert sample.memory < 20 * MIB
    if sample.memory_peak is not None:  # the kernel's cgroups are of version 1
        assert 40 * MIB <= sample.memory_peak < 60 * MIB


async def test_the_page_cache_is_no_memory_of_the_container(
    backend: DockerBackend, instance: str, image: str
) -> None:
    script = (
        "dd if=/dev/zero of=/file bs=1M count=40 2>/dev/null; cat /file >/dev/null; echo ready; sleep 600"
    )
    spec = make_spec(instance, script, image, limits=Limits(memory_bytes=256 * MIB))
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    sample = await soon(backend.sample(spec.name))
    assert sample is not None and sample.memory < 20 * MIB


async def test_traffic_is_counted_and_without_a_network_not_known(
    backend: DockerBackend, instance: str, image: str
) -> None:
    with_network = make_spec(instance, "echo ready; ping -c 3 -s 1000 host.docker.internal; sleep 600", image)
    without = make_spec(instance, "echo ready; sleep 600", image, network="none")
    for spec in (with_network, without):
        sink = await begin(backend, spec)
        await sink.says(b"ready\n")

    async def sent() -> Sample:
        async with aclosing(backend.samples(with_network.name)) as samples:
            async for sample in samples:
                if sample.network_out and sample.network_out > 1000:
                    return sample
        raise AssertionError("it has ended")

    assert (await soon(sent())).network_in is not None
    silent = await soon(backend.sample(without.name))
    assert silent is not None and silent.network_out in (None, 0)


async def test_the_traffic_of_a_namespace_that_others_share_is_nobodys_own(
    backend: DockerBackend, instance: str, image: str
) -> None:
    holder = make_spec(instance, "echo ready; sleep 600", image)
    sink = await begin(backend, holder)
    await sink.says(b"ready\n")
    shared = f"container:{docker_images.client().inspect_container(holder.name)['Id']}"
    guest = make_spec(instance, "echo ready; sleep 600", image, network=shared)
    sink = await begin(backend, guest)
    await sink.says(b"ready\n")
    sample = await soon(backend.sample(guest.name))
    assert sample is not None and (sample.network_in, sample.network_out) == (None, None)
    other = DockerBackend(instance=instance, max_starts=1)
    await other.open()
    try:
        sample = await soon(other.sample(guest.name))
        assert sample is not None and (sample.network_in, sample.network_out) == (None, None)
    finally:
        await other.close()


async def test_however_many_watch_there_is_one_stream_and_none_when_nobody_does(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, "echo ready; sleep 600", image)
    sink = await begin(proxied, spec)
    await sink.says(b"ready\n")

    def streams() -> int:
        return sum("/stats" in connection.request for connection in proxy.connections)

    async with aclosing(proxied.samples(spec.name)) as first, aclosing(proxied.samples(spec.name)) as second:
        await soon(asyncio.gather(anext(first), anext(second)))
        assert streams() == 1
    async with asyncio.timeout(10):
        while streams():
            await asyncio.sleep(0.01)
    assert sum("/stats" in request for request in proxy.requests) == 1


async def test_a_stream_that_breaks_comes_back(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, "echo ready; sleep 600", image)
    sink = await begin(proxied, spec)
    await sink.says(b"ready\n")
    async with aclosing(proxied.samples(spec.name)) as samples:
        await soon(anext(samples))
        assert proxy.cut("/stats") == 1
        await soon(anext(samples))
        await soon(anext(samples))


async def test_an_engine_that_does_not_answer_a_look_costs_nothing_but_the_look(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, "echo ready; sleep 600", image)
    sink = await begin(proxied, spec)
    await sink.says(b"ready\n")
    released = proxy.hold_answers("/stats")
    assert await soon(proxied.sample(spec.name)) is None
    released.set()


# -- health and pauses ------------------------------------------------------------------------------------


async def test_a_health_check_that_fails_is_told_with_what_it_printed(
    backend: DockerBackend, instance: str
) -> None:
    check = "test ! -e /tmp/ill || { echo cannot reach the database; exit 1; }"
    reference = docker_images.variant(
        "RUN mkdir -p /tmp", f"HEALTHCHECK --interval=1s --timeout=5s --retries=1 CMD {check}"
    )
    script = "echo ready; while [ ! -e /tmp/fall ]; do sleep 0.05; done; touch /tmp/ill; sleep 600"
    spec = make_spec(instance, script, reference)
    heard = Heard()
    sink = await begin(backend, spec)
    backend.listen(spec.name, heard)
    await sink.says(b"ready\n")
    client = docker_images.client()

    def let(command: str) -> None:
        client.exec_start(client.exec_create(spec.name, ["sh", "-c", command])["Id"])

    await asyncio.to_thread(let, "touch /tmp/fall")
    assert await heard.kinds(1) == ["unhealthy"]
    assert "cannot reach the database" in heard.notices[0].detail
    assert "exit code 1" in heard.notices[0].detail
    (found,) = await soon(backend.list_agents(instance))
    assert (found.phase, found.health) == (AgentPhase.RUNNING, "unhealthy")
    await asyncio.to_thread(let, "rm /tmp/ill")
    assert await heard.kinds(2) == ["unhealthy", "healthy"]
    await soon(backend.kill(spec.name))


async def test_a_pause_and_its_end_are_told_once_each(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "echo ready; sleep 600", image)
    heard = Heard()
    sink = await begin(backend, spec)
    backend.listen(spec.name, heard)
    await sink.says(b"ready\n")
    client = docker_images.client()
    client.pause(spec.name)
    assert await heard.kinds(1) == ["paused"]
    (found,) = await soon(backend.list_agents(instance))
    assert found.paused and found.phase is AgentPhase.RUNNING
    client.unpause(spec.name)
    assert await heard.kinds(2) == ["paused", "resumed"]


async def test_an_engine_that_takes_over_a_paused_container_is_told_so(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "echo ready; sleep 600", image)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    docker_images.client().pause(spec.name)
    other = DockerBackend(instance=instance, max_starts=1)
    await other.open()
    try:
        assert await soon(other.adopt(spec.name, sink)) is not None
        heard = Heard()
        other.listen(spec.name, heard)
        assert await heard.kinds(1) == ["paused"]
        await soon(other.kill(spec.name))
    finally:
        await other.close()


# -- want of memory ---------------------------------------------------------------------------------------


def kill_from_outside(name: str) -> None:
    """Kill it as the kernel does, past Docker; skips where that is not allowed."""
    pid = docker_images.client().inspect_container(name)["State"]["Pid"]
    try:
        os.kill(pid, signal.SIGKILL)
    except (PermissionError, ProcessLookupError):
        pytest.skip("the engine's processes are not this user's to kill")


@pytest.mark.parametrize(("held", "oom"), [(30, True), (10, False)])
async def test_a_container_that_had_used_its_limit_up_is_told_to_have_died_of_it_though_the_engine_is_silent(
    backend: DockerBackend, instance: str, image: str, held: int, oom: bool
) -> None:
    spec = make_spec(instance, _HOLDS.format(held), image, limits=Limits(memory_bytes=32 * MIB))
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    await settled(backend, spec.name, held * MIB)
    kill_from_outside(spec.name)
    end = await soon(backend.wait(spec.name))
    assert (end.code, end.oom) == (137, oom)
    assert ("want of memory" in end.note) is not oom


async def test_a_container_that_was_killed_by_hand_did_not_die_of_its_limit_however_near_it_was(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, _HOLDS.format(30), image, limits=Limits(memory_bytes=32 * MIB))
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    await settled(backend, spec.name, 30 * MIB)
    docker_images.client().kill(spec.name)
    end = await soon(backend.wait(spec.name))
    assert (end.code, end.oom, end.note) == (137, False, "")


async def test_a_child_that_died_of_the_limit_stays_a_note_when_the_container_is_killed_by_hand(
    backend: DockerBackend, instance: str, image: str
) -> None:
    script = "(x=a; while :; do x=$x$x; done); echo child $?; sleep 600"
    spec = make_spec(instance, script, image, limits=Limits(memory_bytes=16 * MIB))
    sink = await begin(backend, spec)
    await sink.says(b"child 137\n")
    docker_images.client().kill(spec.name)
    end = await soon(backend.wait(spec.name))
    assert (end.code, end.oom) == (137, False)
    assert "memory" in end.note


async def test_the_kernels_own_count_tells_of_a_child_that_died_of_the_limit_though_the_engine_is_silent(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    address = proxied.link.address
    if not address.local or not Path("/sys/fs/cgroup").is_dir():
        pytest.skip("the kernel's count cannot be read here")
    held = proxy.hold_requests("/events")
    proxy.cut("/events")
    script = "(x=a; while :; do x=$x$x; done); echo child $?; sleep 600"
    spec = make_spec(instance, script, image, limits=Limits(memory_bytes=16 * MIB))
    sink = await begin(proxied, spec)
    await sink.says(b"child 137\n")
    container = await proxied.container(spec.name)
    assert container is not None and not container.killing.out_of_memory.is_set()
    assert await soon(proxied.sample(spec.name)) is not None
    assert container.killing.out_of_memory.is_set()
    held.set()
    await soon(proxied.kill(spec.name))
    assert "memory" in (await soon(proxied.wait(spec.name))).note
