"""Files of a container, running or exited: the engine sends them as an archive, which is read as it comes."""

from __future__ import annotations

import asyncio
import base64
import json
import posixpath
import tarfile
from pathlib import Path
from typing import IO, cast

from engine.agents.docker_actions import inspect
from engine.agents.docker_calls import EngineRefusedError, EngineSilentError
from engine.agents.docker_link import EngineLink
from engine.agents.docker_streams import EngineStream, open_stream
from engine.agents.safe_copy import Parts, SafeCopy, in_thread
from engine.errors import BackendError, Reason

# An archive that is whole ends with two blocks of zeros.
_END = bytes(1024)
# The engine's words for a path that leads through a file, or through links in a circle.
_NOWHERE = ("not a directory", "too many links", "too many levels")


async def collect(link: EngineLink, name: str, path: str, into: Path, limit: int) -> int | None:
    """Copy a file or directory out of a container; see `Backend.collect`.

    A link at `path` is followed as within the container.
    """
    found = await inspect(link.calls, name)
    if found is None:
        raise _gone(name)
    what = f"{path!r} of {name}"
    where = posixpath.join("/", found["Config"].get("WorkingDir") or "/", path)
    stream = await _open(link, name, where, what)
    if stream is None:
        return None
    if target := _target_of(stream):
        stream.close()
        stream = await _open(link, name, target, what)
        if stream is None:
            return None
    try:
        copy = SafeCopy(into, limit=limit, what=what)
        download = _Download(stream, link.deadlines.silence, what)
        return await in_thread(copy, lambda: _unpack(copy, download, what), stream.close)
    finally:
        stream.close()


async def _open(link: EngineLink, name: str, path: str, what: str) -> EngineStream | None:
    path = posixpath.normpath(path)
    if path.strip("/") == "":
        raise BackendError(
            Reason.BAD_RESULT,
            f"{what} is its whole file system",
            transient=False,
            hint="name a file or directory in it",
        )
    try:
        return await open_stream(
            link.address,
            f"copy {what}",
            "GET",
            ("containers", name, "archive"),
            {"path": path},
            deadline=link.deadlines.call,
        )
    except EngineRefusedError as error:
        words = error.words.lower()
        if error.status == 404 and words.startswith("no such container"):
            raise _gone(name) from None
        if error.status == 404 or any(nowhere in words for nowhere in _NOWHERE):
            return None
        raise


def _gone(name: str) -> BackendError:
    return BackendError(Reason.LOST, f"{name} is gone, and its files with it", transient=False)


def _target_of(stream: EngineStream) -> str:
    """Where the link leads to that was asked for, as the engine has resolved it; "" if it is none."""
    try:
        stat = json.loads(base64.b64decode(stream.headers.get("x-docker-container-path-stat", "")))
        return str(stat.get("linkTarget") or "")
    except ValueError:
        return ""


class _Download:
    """What the event loop receives, read by a thread as a file.

    An answer without a length ends when the connection does, whyever: the end of the archive tells whether it
    is whole.
    """

    def __init__(self, stream: EngineStream, silence: float, what: str) -> None:
        self._stream = stream
        self._silence = silence
        self._doing = f"copy {what}"
        self._loop = asyncio.get_running_loop()
        self._tail = b""

    def read(self, size: int) -> bytes:
        """The next piece, whatever its size; nothing at the end."""
        data = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
        self._tail = (self._tail + data)[-len(_END) :]
        return data

    def finish(self) -> None:
        """Read to the end.

        Raises:
            EngineSilentError: that was not the end of an archive.
        """
        while self.read(0):
            pass
        if self._tail != _END:
            raise EngineSilentError(self._doing, "the connection to the Docker engine broke")

    async def _next(self) -> bytes:
        try:
            return await asyncio.wait_for(self._stream.read(), self._silence)
        except TimeoutError:
            raise EngineSilentError(
                self._doing, f"no word of the Docker engine for {self._silence:g} s"
            ) from None
        except OSError as error:
            raise EngineSilentError(
                self._doing, f"the connection to the Docker engine broke: {error}"
            ) from None


def _unpack(copy: SafeCopy, download: _Download, what: str) -> None:
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", download), mode="r|") as archive:
            unpack(copy, archive)
        download.finish()
    except tarfile.TarError as error:
        download.finish()  # tells a connection that broke from an archive that is none
        raise BackendError(
            Reason.INFRA_ERROR, f"{what} did not come as an archive: {error}", transient=True
        ) from None


def unpack(copy: SafeCopy, archive: tarfile.TarFile) -> None:
    """Fill a copy from an archive whose members all have one first part in their names: the copy's root.

    Raises:
        BackendError: `bad_result` at the first member that is not safe.
    """
    for member in archive:
        parts = _parts(copy, member.name)
        if member.isdir():
            copy.directory(parts, member.mode)
        elif member.isreg():
            content = archive.extractfile(member)
            assert content is not None, "it is a regular file"
            copy.file(parts, member.mode, member.size, content.read)
        elif member.issym():
            copy.link(parts, member.linkname)
        elif member.islnk():
            copy.same_file(parts, _parts(copy, member.linkname))
        else:
            kind = "named pipe" if member.isfifo() else "device"
            raise copy.refused(parts, f"it is a {kind}")


def _parts(copy: SafeCopy, name: str) -> Parts:
    """The parts below the first, which is the name of what was asked for."""
    if name.startswith("/"):
        raise copy.refused((name,), "its name is absolute")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise copy.refused(parts, "its name leads out of it")
    return parts[1:]
