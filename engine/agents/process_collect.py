"""Files of a local process: copied out of the directories that are its own, and from nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from engine.agents.safe_copy import Parts, SafeCopy, in_thread
from engine.errors import BackendError, Reason

_KINDS = ((stat.S_ISFIFO, "named pipe"), (stat.S_ISSOCK, "socket"))


async def collect(
    name: str, path: str, into: Path, limit: int, *, working_dir: Path, within: Sequence[Path]
) -> int | None:
    """Copy a file or directory of a process; see `Backend.collect`.

    Args:
        name: the agent, for messages.
        path: relative to `working_dir`, or absolute.
        into: where it shall be.
        limit: bytes at most.
        working_dir: where the process was started.
        within: directories, one of which must really hold what is at `path`, with all links followed.
    """
    what = f"{path!r} of {name}"
    copy = SafeCopy(into, limit=limit, what=what)

    def build() -> None:
        source = _really(working_dir / path)
        if source is None or not source.exists():
            return
        if not any(source.is_relative_to(place) for place in map(_really, within) if place is not None):
            raise BackendError(
                Reason.BAD_RESULT,
                f"{what} is outside of its working directory: it leads to {str(source)!r}",
                transient=False,
                hint="have the task write it below the directory in which it starts",
            )
        _copy(copy, source, ())

    return await in_thread(copy, build)


def _really(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):  # links in a circle
        return None


def _copy(copy: SafeCopy, source: Path, parts: Parts) -> None:
    """Copy what is there, and what is below. What vanishes meanwhile is left out."""
    try:
        mode = source.lstat().st_mode
        if stat.S_ISLNK(mode):
            copy.link(parts, str(source.readlink()))
        elif stat.S_ISDIR(mode):
            copy.directory(parts, mode)
            for below in sorted(source.iterdir()):
                _copy(copy, below, (*parts, below.name))
        elif stat.S_ISREG(mode):
            _copy_file(copy, source, parts)
        else:
            kind = next((word for is_kind, word in _KINDS if is_kind(mode)), "device")
            raise copy.refused(parts, f"it is a {kind}")
    except FileNotFoundError:
        return
    except OSError as error:
        raise copy.refused(parts, (error.strerror or str(error)).lower()) from None


def _copy_file(copy: SafeCopy, source: Path, parts: Parts) -> None:
    # The process may still run and put something else there in the meantime: no link is followed, and opening
    # a pipe does not wait for its other end.
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise copy.refused(parts, "it is no longer a file")
        copy.file(parts, found.st_mode, found.st_size, partial(os.read, descriptor))
    finally:
        os.close(descriptor)
