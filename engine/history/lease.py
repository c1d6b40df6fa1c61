"""The home's lease: one engine at a time writes a home.

The lock is an flock on `<home>/engine.lock`; the kernel frees it however its holder dies. What is written
in the file is only for people.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from engine.clock import isoformat
from engine.errors import UnavailableError

# `Lease.holder` holds the lock itself for a moment; `acquire` lets such a moment pass.
_TRIES = 5
_PAUSE = 0.05

_USE_ANOTHER = "choose another directory with --home or AGENTAINER_HOME"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a home: process id, host, since when (ISO 8601 UTC); 0 or empty where it is not known."""

    pid: int = 0
    host: str = ""
    since: str = ""


class Lease:
    """The right to write a home, from `acquire` to `release` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, home: Path) -> Self:
        """Take the lease of `home`, making the directory (only for its owner) if it is not there.

        Raises:
            UnavailableError: another engine has it, or the directory cannot be used; says what to do.
        """
        _make_home(home)
        descriptor = _open_lock(home)
        try:
            if not _lock_soon(descriptor, fcntl.LOCK_EX):
                raise _held(home, _read(descriptor))
            mine = Holder(os.getpid(), socket.gethostname(), isoformat(datetime.now(UTC)))
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(mine)).encode() + b"\n", 0)
        except OSError as error:
            os.close(descriptor)
            raise _unusable(home, error) from None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Give it back. Repeatable."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # a full disk must not keep the lock
                os.ftruncate(descriptor, 0)
            os.close(descriptor)

    @staticmethod
    def holder(home: Path) -> Holder | None:
        """Who has the lease of `home` now; None if nobody does. Changes nothing."""
        try:
            descriptor = os.open(home / "engine.lock", os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            return None if _lock(descriptor, fcntl.LOCK_SH) else _read(descriptor)
        finally:
            os.close(descriptor)


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UnavailableError(
            f"the home {home} cannot be made: it, or a part of its path, is a file, not a directory",
            hint=_USE_ANOTHER,
        ) from None
    except OSError as error:
        raise _unusable(home, error) from None


def _open_lock(home: Path) -> int:
    try:
        return os.open(home / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unusable(home, error) from None


def _lock_soon(descriptor: int, kind: int) -> bool:
    for _ in range(_TRIES - 1):
        if _lock(descriptor, kind):
            return True
        time.sleep(_PAUSE)
    return _lock(descriptor, kind)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> Holder:
    """What the holder wrote about itself; it may be in the middle of that."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(int(found["pid"]), str(found["host"]), str(found["since"]))
    except (ValueError, LookupError, TypeError):
        return Holder()


def _held(home: Path, holder: Holder) -> UnavailableError:
    who = f"process {holder.pid} on {holder.host}, since {holder.since}" if holder.pid else "another process"
    return UnavailableError(
        f"the home {home} is in use by {who}",
        hint=f"work in that one or end it; 'history', 'show' and 'logs' work meanwhile; or {_USE_ANOTHER}",
    )


def _unusable(home: Path, error: OSError) -> UnavailableError:
    what = {
        errno.EACCES: "you may not write there",
        errno.EPERM: "you may not write there",
        errno.EROFS: "its file system is read-only",
        errno.ENOSPC: "the disk is full",
        errno.ELOOP: "its lock file is a symbolic link",
        errno.ENOLCK: "its file system does not support locks",
        errno.EOPNOTSUPP: "its file system does not support locks",
    }.get(error.errno or 0, error.strerror or str(error))
    return UnavailableError(f"the home {home} cannot be used: {what}", hint=_USE_ANOTHER)
