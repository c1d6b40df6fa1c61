"""Why a container was killed: for want of memory, by somebody's hand, or by us.

Exit code 137 is any SIGKILL, and the engine's flag for a lack of memory is also set when only a child of the
task was killed, or not at all (cgroups of version 2).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

SIGKILL = 9
KILLED = 128 + SIGKILL
# Docker may tell of a lack of memory a moment after it tells of the exit; seconds.
OOM_NOTICE = 0.25
CHILD_OOM = "one of its processes was killed for want of memory"
_UNEXPLAINED = (
    "it was killed, not through Docker: by itself, or perhaps for want of memory, though Docker tells of none"
)
# Of its limit: who used as much and was killed by nobody that we know of was killed for that.
_NEARLY_ALL = 0.9


class Killing:
    """What is known of a container that bears on why it was killed, if it is.

    Attributes:
        limited: whether it has a memory limit.
        by_us, by_hand: whether we, or somebody through Docker, sent it SIGKILL.
        pressure: the most memory that it was seen to use, as a part of its limit.
        out_of_memory: set once the engine says that one of its processes was killed for want of memory.
    """

    def __init__(self) -> None:
        self.limited = False
        self.by_us = False
        self.by_hand = False
        self.pressure = 0.0
        self.out_of_memory = asyncio.Event()

    def is_open(self, code: int) -> bool:
        """Whether it has to be asked whether there was a lack of memory: the code alone does not tell."""
        return self.limited and code == KILLED and not self.out_of_memory.is_set()

    def was_oom(self, code: int) -> bool:
        """Whether it died for want of memory itself, by its exit code and all that is known."""
        if code != KILLED or self.by_us or self.by_hand:
            return False
        return self.out_of_memory.is_set() or (self.limited and self.pressure >= _NEARLY_ALL)

    def note(self, code: int) -> str:
        """What should be said of an end that was not for want of memory, as far as is known; or ""."""
        if self.out_of_memory.is_set():
            return CHILD_OOM
        unexplained = code == KILLED and self.limited and not (self.by_us or self.by_hand)
        return _UNEXPLAINED if unexplained else ""


def kills_counted(pid: int, container_id: str, root: Path = Path("/")) -> int | None:
    """How many processes of a running container the kernel has killed for want of memory, by its own count.

    None where that cannot be read from here: the engine is elsewhere, or the kernel does not count.

    Args:
        pid: the container's first process, as the engine knows it.
        container_id: its id; an engine in a virtual machine counts processes of its own.
        root: where `/proc` and `/sys` are.
    """
    try:
        groups = (root / f"proc/{pid}/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return None
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if container_id not in path:
            continue
        if "memory" in controllers.split(","):
            counter = root / "sys/fs/cgroup/memory" / path.lstrip("/") / "memory.oom_control"
        elif not controllers:
            counter = root / "sys/fs/cgroup" / path.lstrip("/") / "memory.events"
        else:
            continue
        if (count := _oom_kills(counter)) is not None:
            return count
    return None


def _oom_kills(counter: Path) -> int | None:
    try:
        counts = dict(line.split() for line in counter.read_text().splitlines())
        return int(counts["oom_kill"])
    except (OSError, ValueError, KeyError):
        return None
