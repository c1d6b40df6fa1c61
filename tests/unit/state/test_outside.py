"""A Redis server of someone else, given by URL."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from engine.errors import StateStoreError, UnavailableError, UsageError
from engine.state import outside
from engine.state.binaries import Binary
from engine.state.link import Address
from engine.state.redis_store import RedisStateStore
from engine.state.store import RedisAccess, TaskOutcome
from tests.unit.state.places import RedisContainer, eventually, opened, task

RUN = "0a1b2c3d4e5f"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def foreign_server(
    directory: Path, binary: Binary, *settings: str, port: int = 0
) -> AsyncIterator[int]:
    """A server that someone else runs, with these settings; yields its port."""
    port = port or free_port()
    directory.mkdir(exist_ok=True)
    plain = [] if any(setting.startswith("tls-port") for setting in settings) else [f"port {port}"]
    (directory / "foreign.conf").write_text(
        "\n".join(["bind 127.0.0.1", 'save ""', *plain, *settings]) + "\n"
    )
    process = subprocess.Popen(
        [binary.path, "foreign.conf"], cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    async def listens() -> bool:
        assert process.poll() is None, "the foreign server did not start"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        await eventually(listens)
        yield port
    finally:
        process.kill()
        process.wait()


def store_for(home: Path, url: str) -> RedisStateStore:
    return RedisStateStore(home, redis_url=url)


async def complete(store: RedisStateStore, url: str) -> None:
    """One task of a run, whose container has this URL."""
    one = task(RUN)
    container = RedisContainer(url)
    async with store.completion(one.task_id) as completion:
        await store.put_task(one, "agent")
        await container.hset(RUN, "b", "2")
        await container.set_result(one.task_id, "1")
        await container.publish(one.task_id, "completed")
        async with asyncio.timeout(10):
            assert await completion.wait() == TaskOutcome("1", announced="completed")
    await container.close()


async def test_runs_get_users_of_their_own_and_nothing_else_is_touched(home: Path, binary: Binary) -> None:
    async with foreign_server(home / "foreign", binary) as port:
        url = f"redis://localhost:{port}/3"
        theirs = RedisContainer(url)
        await theirs.do("SET", "theirs", "1")
        default = await theirs.do("ACL", "GETUSER", "default")
        async with opened(store_for(home, url)) as store:
            await store.open_run(RUN, {}, {"a": 1}, open_access=True)
            environment = store.environment(RUN, RedisAccess.RUN, containerised=False)
            assert environment["REDIS_HOST"] == "localhost"
            assert environment["REDIS_URL"].endswith(f"@localhost:{port}/3")
            await complete(store, environment["REDIS_URL"])
            assert await store.read_state(RUN) == {"a": 1, "b": 2}
            container = RedisContainer(environment["REDIS_URL"])
            assert await container.refused("GET", "theirs")
            await container.close()
            unmodified = RedisContainer(
                store.environment(RUN, RedisAccess.OPEN, containerised=False)["REDIS_URL"]
            )
            assert await unmodified.get(f"workflow:{RUN}")
            await unmodified.close()
            assert await theirs.do("ACL", "GETUSER", "default") == default
            assert await theirs.do("HGET", f"workflow:{RUN}:state", "a") == b"1"
            await store.close_run(RUN)
            assert await theirs.do("ACL", "USERS") == [b"default"]
        assert await theirs.get("theirs") == "1"
        assert await theirs.do("TTL", f"workflow:{RUN}:state") > 0
        assert not (home / "redis" / "server.json").exists()
        await theirs.close()


async def test_without_the_right_to_make_users_tasks_get_the_login_of_the_url(
    home: Path, binary: Binary
) -> None:
    rules = "user default off", "user team on >s3cret:/@ ~* &* +@all -acl"
    async with foreign_server(home / "foreign", binary, *rules) as port:
        url = f"redis://team:s3cret%3A%2F%40@127.0.0.1:{port}/0"
        async with opened(store_for(home, url)) as store:
            assert "does not let us make users, so tasks get the login of redis_url" in store.describe()
            assert "s3cret" not in store.describe()
            await store.open_run(RUN, {}, {"a": 1}, open_access=False)
            environment = store.environment(RUN, RedisAccess.RUN, containerised=False)
            assert environment == {
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(port),
                "REDIS_USERNAME": "team",
                "REDIS_PASSWORD": "s3cret:/@",
                "REDIS_URL": url,
            }
            await complete(store, environment["REDIS_URL"])
            await store.close_run(RUN)


async def test_lists_are_found_where_the_server_does_not_tell_of_changed_keys(
    home: Path, binary: Binary
) -> None:
    rules = "user default off", "user team on >secret ~* &* +@all -client"
    async with (
        foreign_server(home / "foreign", binary, *rules) as port,
        opened(store_for(home, f"redis://team:secret@127.0.0.1:{port}")) as store,
    ):
        assert not store._is_told_of_keys
        await store.open_run(RUN, {}, {"a": 1}, open_access=False)
        container = RedisContainer(store.environment(RUN, RedisAccess.RUN, containerised=False)["REDIS_URL"])
        await container.rpush(RUN, "list", "1")
        assert await store.read_state(RUN) == {"a": 1, "list": [1]}
        await container.close()


async def test_a_server_without_channels_for_us_is_refused_at_the_start(home: Path, binary: Binary) -> None:
    rules = "user default off", "user team on >secret ~* resetchannels +@all"
    async with foreign_server(home / "foreign", binary, *rules) as port:
        with pytest.raises(UnavailableError, match=r"Redis cannot be used: .*permission"):
            await store_for(home, f"redis://team:secret@127.0.0.1:{port}").open()


@pytest.mark.parametrize("gateway", [None, "172.18.0.1"])
async def test_containers_reach_a_server_of_this_machine_by_its_gateway(
    home: Path, binary: Binary, gateway: str | None
) -> None:
    async with (
        foreign_server(home / "foreign", binary) as port,
        opened(store_for(home, f"redis://localhost:{port}"), gateway) as store,
    ):
        environment = store.environment(RUN, RedisAccess.RUN, containerised=True)
        assert environment["REDIS_HOST"] == (gateway or "host.docker.internal")
        assert f"@{environment['REDIS_HOST']}:{port}/0" in environment["REDIS_URL"]


async def test_a_server_that_restarts_without_its_data_gets_back_what_is_ours(
    home: Path, binary: Binary
) -> None:
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(contextlib.AsyncExitStack())
        await first.enter_async_context(foreign_server(home / "foreign", binary, port=port))
        store = await stack.enter_async_context(opened(store_for(home, f"redis://127.0.0.1:{port}")))
        await store.open_run(RUN, {}, {"a": 1}, open_access=False)
        url = store.environment(RUN, RedisAccess.RUN, containerised=False)["REDIS_URL"]
        outages = store.outages()
        lost = asyncio.ensure_future(anext(outages))
        await asyncio.sleep(0)
        await first.aclose()
        assert await asyncio.wait_for(lost, 10) is False
        with pytest.raises(StateStoreError, match=r"did not answer within 0 s"):
            await store._commands.run([("PING",)], seconds=0.2)
        async with foreign_server(home / "foreign", binary, port=port):
            assert await asyncio.wait_for(anext(outages), 10) is True
            assert await store.read_state(RUN) == {"a": 1}
            await complete(store, url)
            await store.close_run(RUN)


@pytest.mark.parametrize(
    ("settings", "login", "message"),
    [
        (("requirepass right",), ":wr0ng@", "refuses the login: WRONGPASS"),
        (("requirepass right",), "", "refuses the login: NOAUTH"),
    ],
)
async def test_a_refused_login_is_told_without_the_password(
    home: Path, binary: Binary, settings: tuple[str, ...], login: str, message: str
) -> None:
    async with foreign_server(home / "foreign", binary, *settings) as port:
        with pytest.raises(UnavailableError, match=message) as caught:
            await store_for(home, f"redis://{login}127.0.0.1:{port}").open()
        assert "wr0ng" not in str(caught.value)
        async with opened(store_for(home, f"redis://:right@127.0.0.1:{port}")) as store:
            assert await store.read_state(RUN) == {}


async def test_an_address_where_nobody_is_is_told_with_its_place(home: Path) -> None:
    port = free_port()
    store = store_for(home, f"redis://user:s3cret@127.0.0.1:{port}")
    with pytest.raises(UnavailableError, match=rf"no Redis answers at 127\.0\.0\.1:{port}") as caught:
        await store.open()
    assert "s3cret" not in str(caught.value)
    assert "redis_url" in str(caught.value)


async def test_what_is_not_redis_is_told_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_CONNECT_SECONDS", 0.3)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(replies.pop())
        if not replies:  # the last one says nothing and waits
            await reader.read()
        writer.close()

    replies = [b"", b"+OK\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        for message in ("is not Redis", "is not Redis", "no answer within 0.3 s"):
            with pytest.raises(UnavailableError, match=message):
                await store_for(home, f"redis://127.0.0.1:{port}").open()


async def test_an_old_server_is_refused(home: Path, binary: Binary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "OLDEST", (99, 0))
    async with foreign_server(home / "foreign", binary) as port:
        with pytest.raises(UnavailableError, match=r"is version \d+\.\d+\.\d+, 99.0 or later is needed"):
            await store_for(home, f"redis://127.0.0.1:{port}").open()


async def test_a_cluster_is_refused(home: Path, binary: Binary) -> None:
    while (port := free_port()) > 55_000:  # its members talk to each other at the port 10,000 above
        pass
    async with foreign_server(home / "foreign", binary, "cluster-enabled yes", port=port):
        with pytest.raises(UnavailableError, match=rf"Redis at 127.0.0.1:{port} is a cluster"):
            await store_for(home, f"redis://127.0.0.1:{port}").open()


async def test_tls_is_spoken_and_certificates_are_checked(home: Path, binary: Binary) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        cwd=home,
        check=True,
        capture_output=True,
    )
    port = free_port()
    settings = [f"port 0\ntls-port {port}", f'tls-cert-file "{_quoted(home / "cert.pem")}"']
    settings += [f'tls-key-file "{_quoted(home / "key.pem")}"', "tls-auth-clients no"]
    try:
        async with foreign_server(home / "foreign", binary, *settings, port=port):
            with pytest.raises(UnavailableError, match="certificate verify failed"):
                await store_for(home, f"rediss://127.0.0.1:{port}").open()
            for options in ("ssl_cert_reqs=none", f"ssl_ca_certs={home / 'cert.pem'}"):
                async with opened(store_for(home, f"rediss://127.0.0.1:{port}?{options}")) as store:
                    await store.open_run(RUN, {}, {"a": 1}, open_access=False)
                    assert await store.read_state(RUN) == {"a": 1}
    except AssertionError as error:
        if "did not start" in str(error):
            pytest.skip("this server program cannot speak TLS")
        raise


def _quoted(path: Path) -> str:
    return str(path).replace('"', '\\"')


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", Address("h", 6379)),
        (" redis://h:1/ ", Address("h", 1)),
        ("redis://:p@h:1/2", Address("h", 1, password="p", db=2)),
        ("redis://u:p%40%3A@h:1?db=3", Address("h", 1, "u", "p@:", 3)),
        ("rediss://[::1]:7", Address("::1", 7, tls=True)),
        ("rediss://h?ssl_cert_reqs=none", Address("h", 6379, tls=True, verify=False)),
    ],
)
def test_urls_are_understood(url: str, address: Address) -> None:
    assert Address.parse(url) == address
    assert Address.parse(address.url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:6379",
        "http://s3cret@h",
        "redis://",
        "redis://h:s3cret",
        "redis://h:99999",
        "redis://h/s3cret",
        "unix:///x",
    ],
)
def test_other_urls_are_refused_without_showing_what_they_hide(url: str) -> None:
    with pytest.raises(UsageError, match="setting redis_url is not the URL of a Redis server") as caught:
        Address.parse(url)
    assert "expected redis://" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(Address("h", 1, "u", "s3cret"))


async def test_a_wrong_user_of_a_run_is_refused(home: Path, binary: Binary) -> None:
    async with (
        foreign_server(home / "foreign", binary) as port,
        opened(store_for(home, f"redis://127.0.0.1:{port}")) as store,
    ):
        await store.open_run(RUN, {}, {}, open_access=False)
        stranger = RedisContainer(f"redis://run-{RUN}:guess@127.0.0.1:{port}")
        with pytest.raises(RedisError, match="invalid username-password pair"):
            await stranger.do("PING")
        await stranger.close()
