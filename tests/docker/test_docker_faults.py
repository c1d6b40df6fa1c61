"""The engine is slow, hangs, loses answers or goes away: nothing hangs with it, nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.agents.docker import DockerBackend
from engine.agents.docker_calls import Deadlines
from engine.errors import BackendError, Reason
from tests import docker_images
from tests.backend_contract import PATIENCE, Recording, begin, make_spec, soon
from tests.docker.proxy import Proxy

pytestmark = pytest.mark.docker

_READY = "echo ready; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo bye; exit 6"


@pytest.fixture
def image(busybox_image: str) -> str:
    return busybox_image


def let_go(name: str) -> None:
    """Let a container that runs `_READY` come to its end, behind the backend's back."""
    client = docker_images.client()
    client.exec_start(client.exec_create(name, ["touch", "/tmp/go"])["Id"])


async def ended(name: str) -> None:
    """Wait until the engine itself says that the container has exited."""
    await soon(asyncio.to_thread(docker_images.client().wait, name))


async def nothing_left(instance: str) -> None:
    """Wait until no container of the instance is left; a late answer may still have to be dealt with."""
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(docker_images.containers_of, instance):
            await asyncio.sleep(0.05)


# -- what tells of ends -----------------------------------------------------------------------------------


async def test_an_end_that_came_while_the_event_stream_was_down_is_noticed_when_it_is_back(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, _READY, image)
    sink = await begin(proxied, spec)
    await sink.says(b"ready\n")
    released = proxy.hold_requests("/events")
    assert proxy.cut("/events") == 1
    let_go(spec.name)
    await ended(spec.name)
    released.set()
    end = await soon(proxied.wait(spec.name))
    assert (end.code, sink.text()) == (6, b"ready\nbye\n")


async def test_an_end_after_the_event_stream_came_back_is_told_by_it(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, _READY, image)
    sink = await begin(proxied, spec)
    await sink.says(b"ready\n")
    before = sum("/events" in request for request in proxy.requests)
    proxy.cut("/events")
    await proxy.saw("/events", times=before + 1)
    let_go(spec.name)
    end = await soon(proxied.wait(spec.name))
    assert (end.code, sink.text()) == (6, b"ready\nbye\n")


async def test_the_poll_notices_an_end_when_the_event_stream_is_dumb(
    proxy: Proxy, instance: str, image: str
) -> None:
    proxy_deadlines = Deadlines(call=5, drain=1, poll=0.2)
    backend = DockerBackend(instance=instance, deadlines=proxy_deadlines)
    await backend.open()
    try:
        proxy.hold_answers("/events")
        spec = make_spec(instance, "exit 6", image)
        await begin(backend, spec)
        assert (await soon(backend.wait(spec.name))).code == 6
        gone = make_spec(instance, "sleep 600", image)
        await begin(backend, gone)
        docker_images.client().remove_container(gone.name, force=True)
        assert (await soon(backend.wait(gone.name))).lost
    finally:
        await backend.close()


async def test_output_is_whole_although_its_connection_was_cut(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, _READY, image)
    sink = await begin(proxied, spec)
    await sink.says(b"ready\n")
    assert proxy.cut("/attach") == 1
    await proxy.saw("/logs")
    let_go(spec.name)
    end = await soon(proxied.wait(spec.name))
    assert (end.code, sink.text()) == (6, b"ready\nbye\n")
    assert sink.restarts >= 1


async def test_output_goes_on_from_the_log_while_the_agent_runs(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    script = "echo ready; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo more; sleep 600"
    spec = make_spec(instance, script, image)
    sink = await begin(proxied, spec)
    await sink.says(b"ready\n")
    proxy.cut("/attach")
    await proxy.saw("/logs")
    let_go(spec.name)
    await sink.says(b"more\n")
    assert sink.text() == b"ready\nmore\n"
    await soon(proxied.kill(spec.name))


async def test_an_engine_that_goes_away_and_comes_back_has_lost_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, instance: str, image: str
) -> None:
    engine = docker_images.socket_path()
    proxy = Proxy(engine)
    socket = tmp_path / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", await proxy.listen(socket))
    backend = DockerBackend(instance=instance, deadlines=Deadlines(call=2, drain=1, poll=3600))
    await backend.open()
    try:
        spec = make_spec(instance, _READY, image)
        sink = await begin(backend, spec)
        await sink.says(b"ready\n")
        waiting = asyncio.create_task(backend.wait(spec.name))
        await proxy.close()
        socket.unlink()
        with pytest.raises(BackendError) as caught:
            await soon(backend.list_agents(instance))
        assert (caught.value.reason, caught.value.transient) == (Reason.INFRA_ERROR, True)
        let_go(spec.name)
        await ended(spec.name)
        assert not waiting.done()
        back = Proxy(engine)
        await back.listen(socket)
        end = await soon(waiting)
        assert (end.code, sink.text()) == (6, b"ready\nbye\n")
        await soon(backend.remove(spec.name))
        await backend.close()
        await back.close()
    finally:
        await backend.close()


# -- what was asked for and not answered ------------------------------------------------------------------


async def test_a_start_that_hangs_fails_in_time_and_leaves_nothing(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, "sleep 600", image)
    await soon(proxied.prepare(spec))
    await soon(proxied.create(spec, Recording()))
    released = proxy.hold_requests("/start$")
    with pytest.raises(BackendError, match="did not answer") as caught:
        await soon(proxied.start(spec.name))
    assert (caught.value.reason, caught.value.transient) == (Reason.INFRA_ERROR, True)
    await soon(proxied.stop(spec.name, 10))
    await soon(proxied.remove(spec.name))
    released.set()
    await nothing_left(instance)


async def test_a_create_whose_answer_is_late_leaves_nothing_when_the_agent_was_removed_meanwhile(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, "sleep 600", image)
    await soon(proxied.prepare(spec))
    released = proxy.hold_requests("/containers/create")
    with pytest.raises(BackendError, match="did not answer"):
        await soon(proxied.create(spec, Recording()))
    await soon(proxied.stop(spec.name, 10))
    await soon(proxied.remove(spec.name))
    assert docker_images.containers_of(instance) == []
    released.set()  # only now does the engine make it
    await proxy.saw(r"^DELETE /v[\d.]+/containers/")
    await nothing_left(instance)


async def test_a_container_whose_answer_was_lost_is_found_by_its_name_and_removed(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, "sleep 600", image)
    await soon(proxied.prepare(spec))
    proxy.hold_answers("/containers/create")
    with pytest.raises(BackendError, match="did not answer"):
        await soon(proxied.create(spec, Recording()))
    assert docker_images.containers_of(instance) == [spec.name]
    await soon(proxied.remove(spec.name))
    await nothing_left(instance)


async def test_creating_again_after_a_lost_answer_makes_no_twin(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, "echo once", image)
    await soon(proxied.prepare(spec))
    answers = proxy.hold_answers("/containers/create")
    with pytest.raises(BackendError, match="did not answer"):
        await soon(proxied.create(spec, Recording()))
    answers.set()
    sink = Recording()
    await soon(proxied.create(spec, sink))
    await soon(proxied.start(spec.name))
    assert (await soon(proxied.wait(spec.name))).code == 0
    assert sink.text() == b"once\n"
    assert docker_images.containers_of(instance) == [spec.name]


async def test_a_create_cancelled_while_the_engine_hangs_leaves_nothing(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, "sleep 600", image)
    await soon(proxied.prepare(spec))
    released = proxy.hold_requests("/containers/create")
    creating = asyncio.create_task(proxied.create(spec, Recording()))
    await proxy.saw("/containers/create")
    creating.cancel()
    with suppress(asyncio.CancelledError):
        await creating
    removing = asyncio.create_task(proxied.remove(spec.name))
    released.set()
    await soon(removing)
    await nothing_left(instance)


async def test_a_start_cancelled_while_it_waits_for_its_turn_never_happens(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    specs = [make_spec(instance, "echo ran; sleep 600", image) for _ in range(3)]
    sinks = [Recording() for _ in specs]
    for spec, sink in zip(specs, sinks, strict=True):
        await soon(proxied.prepare(spec))
        await soon(proxied.create(spec, sink))
    released = proxy.hold_requests("/start$")  # two at once are allowed: the third waits
    starting = [asyncio.create_task(proxied.start(spec.name)) for spec in specs]
    await proxy.saw("/start$", times=2)
    starting[2].cancel()
    stopping = asyncio.create_task(proxied.stop(specs[2].name, 10))
    await asyncio.sleep(0)
    released.set()
    await soon(asyncio.gather(*starting[:2]))
    await soon(stopping)
    assert sum("/start" in request for request in proxy.requests) == 2
    assert sinks[2].text() == b""
    for spec in specs:
        await soon(proxied.remove(spec.name))


async def test_starts_at_one_time_are_bounded_and_other_calls_are_not_held_up(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    proxy.watch("/start$")
    specs = [make_spec(instance, "true", image, network="none") for _ in range(6)]
    await soon(asyncio.gather(*(begin(proxied, spec) for spec in specs)))
    ends = await soon(asyncio.gather(*(proxied.wait(spec.name) for spec in specs)))
    assert [end.code for end in ends] == [0] * 6
    assert proxy.most["/start$"] == 2


async def test_a_stop_that_the_engine_does_not_answer_fails_in_time(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str
) -> None:
    spec = make_spec(instance, "echo ready; sleep 600", image)
    sink = await begin(proxied, spec)
    await sink.says(b"ready\n")
    released = proxy.hold_requests("/kill")
    with pytest.raises(BackendError, match="did not answer") as caught:
        await soon(proxied.stop(spec.name, 0.1))
    assert (caught.value.reason, caught.value.transient) == (Reason.INFRA_ERROR, True)
    released.set()
    await soon(proxied.stop(spec.name, 0.1))
    assert (await soon(proxied.wait(spec.name))).code in (137, 143)


@pytest.fixture
async def threads_full(proxied: DockerBackend, proxy: Proxy, instance: str) -> AsyncIterator[None]:
    """Every thread of the backend hangs in a call."""
    released = proxy.hold_requests("/containers/hang")
    hanging = [asyncio.create_task(proxied.adopt("hang", Recording())) for _ in range(20)]
    await proxy.saw("/containers/hang", times=2 + 8)
    yield
    released.set()
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_call_fails_in_time_even_if_every_thread_hangs(
    threads_full: None, proxied: DockerBackend, instance: str
) -> None:
    with pytest.raises(BackendError, match="did not answer"):
        await soon(proxied.list_agents(instance))
