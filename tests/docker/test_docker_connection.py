"""Finding the engine, and saying plainly why it cannot be used. Most of these need no engine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from engine.agents.docker import DockerBackend
from engine.agents.docker_calls import Deadlines
from engine.errors import BackendError, UnavailableError
from tests import docker_images
from tests.backend_contract import begin, make_spec, soon
from tests.docker.proxy import Proxy

_QUICK = Deadlines(connect=0.3)


async def refusal(monkeypatch: pytest.MonkeyPatch, host: str) -> UnavailableError:
    """What `open` says when DOCKER_HOST is that."""
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(UnavailableError) as caught:
        await soon(DockerBackend(instance="nobody", deadlines=_QUICK).open())
    assert host in str(caught.value)
    assert caught.value.exit_code == 4
    return caught.value


async def test_a_socket_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    error = await refusal(monkeypatch, f"unix://{tmp_path}/nothing.sock")
    assert "no such socket" in error.message
    assert "DOCKER_HOST" in str(error)


async def test_a_socket_that_nobody_listens_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "dead.sock"))
    assert "nobody listens" in (await refusal(monkeypatch, f"unix://{tmp_path}/dead.sock")).message


async def test_a_port_that_nobody_listens_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nobody listens" in (await refusal(monkeypatch, "tcp://127.0.0.1:9")).message


@pytest.mark.parametrize("host", ["nonsense://x", "tcp://", "ssh://somewhere"])
async def test_an_address_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(UnavailableError, match=r"DOCKER_HOST|cannot be used"):
        await soon(DockerBackend(instance="nobody", deadlines=_QUICK).open())


Serve = Callable[[bytes], Awaitable[str]]


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serves one fixed answer, or none at all, on a socket."""
    servers: list[asyncio.Server] = []

    async def serve(answer: bytes) -> str:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(65536):
                if answer:
                    writer.write(answer)

        path = tmp_path / "listener.sock"
        servers.append(await asyncio.start_unix_server(talk, path))
        return f"unix://{path}"

    yield serve
    for server in servers:
        server.close()


async def test_something_that_accepts_and_never_answers(
    monkeypatch: pytest.MonkeyPatch, listener: Callable[[bytes], asyncio.Future[str]]
) -> None:
    assert "did not answer within" in (await refusal(monkeypatch, await listener(b""))).message


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ht>",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
async def test_something_else_than_a_docker_engine(
    monkeypatch: pytest.MonkeyPatch, listener: Callable[[bytes], asyncio.Future[str]], answer: bytes
) -> None:
    await refusal(monkeypatch, await listener(answer))


async def test_a_backend_that_is_not_open_says_so() -> None:
    with pytest.raises(BackendError, match="not open"):
        await DockerBackend(instance="nobody").wait("agentainer-x-1")


@pytest.mark.docker
async def test_an_engine_that_answers_its_version_and_then_hangs(
    monkeypatch: pytest.MonkeyPatch, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.hold_requests("/info")
    with pytest.raises(UnavailableError, match="did not answer"):
        await soon(DockerBackend(instance="nobody", deadlines=_QUICK).open())


@pytest.mark.docker
async def test_an_engine_behind_tcp(
    monkeypatch: pytest.MonkeyPatch, instance: str, busybox_image: str
) -> None:
    proxy = Proxy(docker_images.socket_path())
    monkeypatch.setenv("DOCKER_HOST", await proxy.listen_tcp())
    backend = DockerBackend(instance=instance)
    await backend.open()
    try:
        spec = make_spec(instance, "echo over tcp", busybox_image)
        sink = await begin(backend, spec)
        assert (await soon(backend.wait(spec.name))).code == 0
        assert sink.text() == b"over tcp\n"
        await soon(backend.remove(spec.name))
    finally:
        await backend.close()
        await proxy.close()
