"""What local processes use: of a whole tree while it runs, by the kernel's own account at its end.

Linux tells through /proc; elsewhere only the account at the end is there.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from engine.agents.backend import Sample, Usage

_PROC = Path("/proc")
# Places in /proc/PID/stat after the name, in clock ticks: user and system time, its own and that of children
# that it has waited for; then the number of threads.
_TIMES = slice(11, 15)
_THREADS = 17
# The unit of `ru_maxrss`.
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def memory_floor() -> int:
    """What a child that is started now reports as its peak at least, bytes.

    A process inherits the peak of the one that starts it: only above that, its own is known.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT


def usage_at_end(account: resource.struct_rusage, floor: int) -> Usage:
    """What a process used, with those of its descendants that were waited for.

    Args:
        account: from `wait4`.
        floor: `memory_floor` when it was started.
    """
    peak = account.ru_maxrss * _MAXRSS_UNIT
    return Usage(
        cpu_seconds=round(account.ru_utime + account.ru_stime, 6),
        memory_peak=peak if peak > floor else None,
    )


def measure(pids: Iterable[int]) -> Sample | None:
    """What these processes use together now; None if none of them is there. Blocks for a moment.

    Memory is what is resident; what several of them share is counted for each.
    """
    tick = os.sysconf("SC_CLK_TCK")
    cpu, memory, largest, threads, read, written = 0.0, 0, 0, 0, 0, 0
    found = io_known = False
    for pid in pids:
        place = _PROC / str(pid)
        try:
            words = (place / "stat").read_bytes().rpartition(b")")[2].split()
            resident, peak = _memory_of((place / "status").read_bytes())
        except OSError:
            continue  # it has ended
        found = True
        cpu += sum(map(int, words[_TIMES])) / tick
        threads += int(words[_THREADS])
        memory += resident
        largest = max(largest, peak)
        try:
            moved = dict(line.split(b": ") for line in (place / "io").read_bytes().splitlines())
        except OSError:
            continue
        io_known = True
        read += int(moved[b"read_bytes"])
        written += int(moved[b"write_bytes"])
    if not found:
        return None
    return Sample(
        time=datetime.now(UTC),
        cpu_seconds=round(cpu, 6),
        memory=memory,
        memory_peak=max(memory, largest),
        block_read=read if io_known else None,
        block_write=written if io_known else None,
        pids=threads,
    )


def _memory_of(status: bytes) -> tuple[int, int]:
    """Resident now, and the most so far; 0 for what the kernel leaves out (a process that is ending)."""
    fields = dict(line.split(b":", 1) for line in status.splitlines() if line.startswith(b"Vm"))
    return _kibibytes(fields.get(b"VmRSS")), _kibibytes(fields.get(b"VmHWM"))


def _kibibytes(text: bytes | None) -> int:
    return int(text.split()[0]) * 1024 if text else 0
