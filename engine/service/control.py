"""The control socket: how a second `agentainer` asks the live engine of a home to do something.

A Unix socket that only the user can open; one JSON object per line each way. A request is
`{"command": str, ...}`, an answer `{"ok": true, ...}` or `{"ok": false, "error": str, "hint": str,
"exit_code": int}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import AgentainerError, UnavailableError

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]

_LINE_LIMIT = 1 << 20
_ANSWER_TIMEOUT = 30.0
# sun_path has 104 bytes on macOS and 108 on Linux, the terminating zero included.
_PATH_LIMIT = 100


def socket_path(home: Path) -> Path:
    """Where the socket of a home is; a home whose path is too long for one gets it in the temp directory."""
    direct = home / "engine.sock"
    if len(os.fsencode(direct)) <= _PATH_LIMIT:
        return direct
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"agentainer-{os.getuid()}-{digest}.sock"


class ControlServer:
    """Listens on the socket of a home and hands requests to `handler`."""

    def __init__(self, home: Path, handler: Handler) -> None:
        self._path = socket_path(home)
        self._handler = handler
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Start listening; a socket that a dead engine left is replaced (the home's lease is ours)."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=_LINE_LIMIT)
        except OSError as error:
            raise UnavailableError(f"{self._path}: the control socket cannot be made: {error}") from error
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                answer = await self._answer(await reader.readline())
            except ValueError:
                answer = {"ok": False, "error": "the request is not one JSON object on a line"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise ValueError("not an object")
        try:
            return {"ok": True, **await self._handler(request)}
        except AgentainerError as error:
            return {"ok": False, "error": error.message, "hint": error.hint, "exit_code": error.exit_code}


async def ask(home: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """Send one request to the live engine of `home` and return its answer.

    Raises:
        UnavailableError: nobody listens, or nobody answers.
        AgentainerError: what the engine answered with.
    """
    path = socket_path(home)
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(path, limit=_LINE_LIMIT)
            writer.write(json.dumps(dict(request)).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
            writer.close()
        answer = json.loads(line)
    except (OSError, ValueError, TimeoutError) as error:
        raise UnavailableError(
            f"the engine that holds {home} does not answer on {path}: {error or type(error).__name__}"
        ) from error
    if not answer.get("ok"):
        problem = AgentainerError(str(answer.get("error", "")), hint=str(answer.get("hint", "")))
        problem.exit_code = int(answer.get("exit_code", 1))
        raise problem
    return dict(answer)
