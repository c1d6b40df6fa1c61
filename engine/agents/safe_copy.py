"""Files and directories taken out of agents: what they contain is hostile, what comes of them is not.

A copy is built in a place of its own beside where it belongs, and moved there when it is whole. While it is
built there is no link in it, so nothing is ever written through one; links are made at the end, and only
those that cannot lead out.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.errors import BackendError, Reason

CHUNK = 256 * 1024
# Empty files cost no bytes, but each costs an entry of the file system, and depth costs whoever walks it.
_MOST_ENTRIES = 250_000
_DEEPEST = 100
_LONGEST_SHOWN = 200
# What the copy is called until it is whole.
_ROOT = "copy"

Parts = tuple[str, ...]


class SafeCopy:
    """A file or directory in the making, a context manager: `finish` puts it in its place, or nothing stays.

    Names are given as parts below its root; `()` is the root itself. Everything belongs to this user, is
    readable for them, and has neither set-id bits nor write permission for others.

    Args:
        into: where it shall be; nothing is there yet, and its parent exists.
        limit: bytes at most.
        what: what is copied, for messages.
    """

    def __init__(self, into: Path, *, limit: int, what: str) -> None:
        self.size = 0
        self._into = into
        self._limit = limit
        self._what = what
        self._entries = 0
        self._links: dict[Parts, str] = {}
        self._abandoned = False
        self._place: Path | None = None
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            self._place = Path(tempfile.mkdtemp(dir=self._into.parent, prefix=".collecting-"))
            self._descriptor = os.open(self._place, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            self.__exit__(None, None, None)
            raise self.disk_error(error) from None
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._place is not None:
            shutil.rmtree(self._place, ignore_errors=True)

    def abandon(self) -> None:
        """Have the thread that builds it stop at the next piece."""
        self._abandoned = True

    # -- building -------------------------------------------------------------------------------------

    def directory(self, parts: Parts, mode: int) -> None:
        """Make a directory; those above it are made with it where they are missing."""
        self._count(parts)
        self._in_parent(parts, partial(_make_directory, mode))

    def file(self, parts: Parts, mode: int, size: int, read: Callable[[int], bytes]) -> None:
        """Make a file from what `read` gives until it gives nothing; `size` is what it is said to have."""
        self._count(parts)
        if self.size + size > self._limit:
            raise self._too_large()

        def write(name: str, at: int) -> None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(name, flags, 0o600, dir_fd=at), "wb", buffering=0) as file:
                while data := read(CHUNK):
                    self._check_abandoned()
                    self.size += len(data)
                    if self.size > self._limit:
                        raise self._too_large()
                    view = memoryview(data)
                    while view:
                        view = view[file.write(view) :]
                os.fchmod(file.fileno(), 0o600 | mode & 0o755)

        self._in_parent(parts, write)

    def same_file(self, parts: Parts, other: Parts) -> None:
        """Make a second name for a file of this copy."""
        self._count(parts)

        def link(name: str, at: int) -> None:
            def under(known: str, known_at: int) -> None:
                os.link(known, name, src_dir_fd=known_at, dst_dir_fd=at, follow_symlinks=False)

            self._in_parent(other, under)

        self._in_parent(parts, link)

    def link(self, parts: Parts, target: str) -> None:
        """Have a symbolic link made at the end, if it stays inside."""
        self._count(parts)
        if not parts:
            raise self.refused(parts, "it is a link itself")
        if complaint := _complaint(len(parts) - 1, target):
            raise self.refused(parts, f"{complaint} ({target!r})")
        if parts in self._links:
            raise self.refused(parts, "is there twice")
        self._links[parts] = target

    def finish(self) -> int | None:
        """Make the links and put the whole in its place; returns its bytes, None if there is nothing."""
        assert self._place is not None, "it is used as a context manager"
        if not self._entries:
            return None
        for parts, target in self._links.items():
            self._in_parent(parts, partial(_make_link, target))
        try:
            (self._place / _ROOT).rename(self._into)
        except OSError as error:
            raise self.disk_error(error) from None
        return self.size

    # -- what is wrong --------------------------------------------------------------------------------

    def refused(self, parts: Sequence[str], why: str) -> BackendError:
        """It cannot be copied because of one of its parts."""
        path = "/".join(parts)
        shown = path if len(path) <= _LONGEST_SHOWN else f"{path[:_LONGEST_SHOWN]}…"
        where = f": {shown!r}" if parts else ""
        return BackendError(
            Reason.BAD_RESULT,
            f"{self._what} cannot be copied{where}: {why}",
            transient=False,
            hint="files, directories and links that stay inside of it can be; leave out the rest, "
            "or pack it into one file",
        )

    def disk_error(self, error: OSError) -> BackendError:
        """The place where it is being made refuses."""
        return BackendError(
            Reason.INFRA_ERROR,
            f"{self._what} could not be written to {self._into}: {error.strerror or error}",
            transient=True,
            hint="check the space and the permissions of the home directory",
        )

    def _too_large(self) -> BackendError:
        return BackendError(
            Reason.BAD_RESULT,
            f"{self._what} is larger than {self._limit} bytes",
            transient=False,
            hint="have the task write less, or raise the setting artifact_limit",
        )

    def _count(self, parts: Parts) -> None:
        self._check_abandoned()
        self._entries += 1
        if self._entries > _MOST_ENTRIES:
            raise self.refused((), f"it has more than {_MOST_ENTRIES} files")
        if len(parts) > _DEEPEST:
            raise self.refused(parts[:_DEEPEST], f"its directories are nested more than {_DEEPEST} deep")
        for part in parts:
            if part in ("", ".", "..") or "/" in part or "\0" in part:
                raise self.refused(parts, "that is not a name inside of it")

    def _check_abandoned(self) -> None:
        if self._abandoned:
            raise BackendError(Reason.CANCELLED, f"{self._what} is no longer wanted", transient=False)

    def _in_parent(self, parts: Parts, act: Callable[[str, int], None]) -> None:
        """Do something with a name and the open directory that it is in; no link is followed on the way."""
        *above, name = (_ROOT, *parts)
        at = os.dup(self._descriptor)
        try:
            for part in above:
                below = _open_directory(part, at)
                os.close(at)
                at = below
            act(name, at)
        except FileExistsError:
            raise self.refused(parts, "is there twice") from None
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT):
                raise self.refused(parts, (error.strerror or str(error)).lower()) from None
            raise self.disk_error(error) from None
        finally:
            os.close(at)


def _open_directory(name: str, at: int) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=at)
    except FileNotFoundError:
        os.mkdir(name, 0o700, dir_fd=at)
        return os.open(name, flags, dir_fd=at)


def _make_link(target: str, name: str, at: int) -> None:
    os.symlink(target, name, dir_fd=at)


def _make_directory(mode: int, name: str, at: int) -> None:
    descriptor = _open_directory(name, at)
    try:
        os.fchmod(descriptor, 0o700 | mode & 0o055)
    finally:
        os.close(descriptor)


def _complaint(depth: int, target: str) -> str:
    """Why a link in a directory so far below the root may not be made, or "".

    It lies in a real directory, so each `..` at the beginning of its target goes up one real directory. After
    a name there may be none: that name may be a link itself, and `link/..` is not where `link` is.
    """
    steps = [part for part in target.split("/") if part not in ("", ".")]
    up = len(list(itertools.takewhile(lambda part: part == "..", steps)))
    if target.startswith("/"):
        return "the link is absolute"
    if up > depth:
        return "the link leads out of it"
    if ".." in steps[up:]:
        return "the link goes up after it has gone down, which may lead anywhere"
    return ""


async def in_thread(
    copy: SafeCopy, build: Callable[[], None], on_cancel: Callable[[], None] = lambda: None
) -> int | None:
    """Build a copy in a thread and put it in its place. A cancellation waits for the end of the thread.

    Args:
        copy: what is built.
        build: fills it.
        on_cancel: ends what `build` may be waiting for.

    Returns:
        The bytes copied; None if it was filled with nothing.
    """

    def work() -> int | None:
        with copy:
            build()
            return copy.finish()

    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        copy.abandon()
        on_cancel()
        await asyncio.wait({working})
        if not working.cancelled():
            working.exception()  # nobody else will ask for it
        raise
