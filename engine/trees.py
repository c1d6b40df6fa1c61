"""Directories that tasks have filled: measured and removed however deep they are, and whatever they forbid.

`shutil.rmtree` and `os.walk` call themselves for each level. A task that nests a thousand directories would
end them with a `RecursionError`, and with them an engine that only wanted to tidy up.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# One for each level; a process that goes on making directories must not keep us for ever.
_MOST_PASSES = 1_000_000


def remove_tree(directory: Path) -> None:
    """Remove a directory, also where a task took permissions away from its own; links are not followed.

    Does nothing where there is none.

    Raises:
        OSError: something in it cannot be removed.
    """
    try:
        directory.rmdir()  # most are empty
        return
    except FileNotFoundError:
        return
    except OSError:
        if not stat.S_ISDIR(directory.lstat().st_mode):
            raise
    directory.chmod(stat.S_IRWXU)
    root = os.open(directory, _OPEN)
    try:
        _empty(root)
    finally:
        os.close(root)
    directory.rmdir()


def size_of(directory: Path) -> int:
    """Bytes of all files below, as far as their paths can be followed."""
    total, left = 0, [os.fspath(directory)]
    while left:
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def _empty(root: int) -> None:
    """Remove all that is in an open directory. What lies deeper than it is first moved up into it."""
    moved = 0
    for _ in range(_MOST_PASSES):
        names = _directories_left(root)
        if not names:
            return
        for name in names:
            below = _open(name, root)
            try:
                for inner in _directories_left(below):
                    os.close(_open(inner, below))  # who moves a directory must be allowed to write in it
                    moved += 1
                    while _exists(f".moved-{moved}", root):
                        moved += 1
                    os.rename(inner, f".moved-{moved}", src_dir_fd=below, dst_dir_fd=root)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=root)


def _directories_left(at: int) -> list[str]:
    """Remove the files and empty directories in an open directory; returns the others."""
    left = []
    with os.scandir(at) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        try:
            if is_directory:
                os.rmdir(name, dir_fd=at)
            else:
                os.unlink(name, dir_fd=at)
        except FileNotFoundError:
            pass
        except OSError:
            if not is_directory:
                raise
            left.append(name)
    return left


def _open(name: str, at: int) -> int:
    """Open a directory, with all rights on it."""
    try:
        opened = os.open(name, _OPEN, dir_fd=at)
    except PermissionError:
        os.chmod(name, stat.S_IRWXU, dir_fd=at)
        opened = os.open(name, _OPEN, dir_fd=at)
    os.fchmod(opened, stat.S_IRWXU)
    return opened


def _exists(name: str, at: int) -> bool:
    try:
        os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
