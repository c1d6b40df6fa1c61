"""What is written down about local agents, so that those of a crashed engine are found, shown and ended.

Each agent has a record `<home>/work/<name>.jsonl` beside its directory, which only grows. A process is
recognised by its id and its start time together, and on Linux also by a variable in its environment, which
its descendants inherit wherever they go.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.agents.backend import AgentIdentity, AgentInfo, AgentPhase
from engine.clock import isoformat, parse_time
from engine.errors import BackendError, Reason
from engine.trees import remove_tree

MARKER = "AGENTAINER_AGENT"
_PROC = Path("/proc")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
# A fork bomb outruns one pass over the processes; this many passes are enough for anything else.
_PASSES = 20
_PAUSE = 0.005
_PS_DEADLINE = 5.0


@dataclass(frozen=True, slots=True)
class Record:
    """One agent as it is on disk.

    Attributes:
        name: the agent's name.
        identity: whose attempt it serves.
        created_at: when.
        pid: its process, once started; also the id of its group.
        birth: when that process began, in the system's own form: tells it from a later one of the same id.
        exit_code: how it ended, once it has.
    """

    name: str
    identity: AgentIdentity
    created_at: datetime
    pid: int | None = None
    birth: str = ""
    exit_code: int | None = None

    @property
    def marker(self) -> str:
        """The value of the variable that marks its processes."""
        return f"{self.identity.instance}/{self.name}"

    def info(self, *, alive: bool, size_bytes: int | None = None) -> AgentInfo:
        """As the backend tells of it."""
        phase = AgentPhase.CREATED if self.pid is None else AgentPhase.EXITED
        return AgentInfo(
            name=self.name,
            agent_id=self.name if self.pid is None else str(self.pid),
            identity=self.identity,
            phase=AgentPhase.RUNNING if alive else phase,
            created_at=self.created_at,
            exit_code=self.exit_code,
            size_bytes=size_bytes,
        )


class Records:
    """The records and directories of all agents of a home, below `<home>/work`."""

    def __init__(self, home: Path) -> None:
        self.root = home / "work"

    def directory(self, name: str) -> Path:
        """Where an agent works.

        Raises:
            BackendError: the name cannot be part of a path.
        """
        if not _NAME.fullmatch(name):
            raise BackendError(
                Reason.INPUT_ERROR, f"{name!r} cannot be the name of an agent", transient=False
            )
        return self.root / name

    def read(self, name: str) -> Record | None:
        """The record of that name; None if there is none, or none that can be read."""
        return _read(self._file(name))

    def begin(self, record: Record) -> None:
        """Write the record of a new agent.

        Raises:
            BackendError: the disk refuses.
        """
        first = {
            "name": record.name,
            "identity": asdict(record.identity),
            "created_at": isoformat(record.created_at),
        }
        self._write(record.name, "w", first)

    def note(self, name: str, **facts: str | int) -> None:
        """Add to a record what became known: a line more, so that a crash loses that line at most.

        Raises:
            BackendError: the disk refuses.
        """
        self._write(name, "a", facts)

    def _write(self, name: str, mode: str, facts: Mapping[str, Any]) -> None:
        try:
            with self._file(name).open(mode, encoding="utf-8") as file:
                file.write(json.dumps(facts) + "\n")
        except OSError as error:
            raise _disk_error(name, error) from None

    def make_directory(self, name: str) -> Path:
        """A fresh, empty directory for an agent.

        Raises:
            BackendError: the disk refuses.
        """
        directory = self.directory(name)
        try:
            if directory.exists():
                remove_tree(directory)
            directory.mkdir(parents=True)
        except OSError as error:
            raise _disk_error(name, error) from None
        return directory

    def all(self) -> Iterator[Record]:
        """Every record that can be read."""
        for file in sorted(self.root.glob("*.jsonl")):
            if record := _read(file):
                yield record

    def remove(self, name: str) -> None:
        """Remove the directory, then the record: a crash in between leaves something to find.

        Raises:
            BackendError: something could not be removed.
        """
        try:
            remove_tree(self.directory(name))
            self._file(name).unlink(missing_ok=True)
        except OSError as error:
            raise _disk_error(name, error) from None

    def _file(self, name: str) -> Path:
        return self.directory(name).with_name(f"{name}.jsonl")


def _read(file: Path) -> Record | None:
    try:
        first, *more = file.read_text(encoding="utf-8").splitlines(keepends=True)
        facts: dict[str, Any] = json.loads(first)
        for line in more:
            if line.endswith("\n"):
                facts |= json.loads(line)
        identity = AgentIdentity(**facts.pop("identity"))
        return Record(identity=identity, created_at=parse_time(facts.pop("created_at")), **facts)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _disk_error(name: str, error: OSError) -> BackendError:
    return BackendError(
        Reason.INFRA_ERROR,
        f"the files of {name} could not be changed: {error}",
        transient=True,
        hint="check the space and the permissions of the home directory",
    )


# -- processes --------------------------------------------------------------------------------------------


def birth_of(pid: int) -> str:
    """When a process began, in a form that only serves comparison; empty if there is no such process."""
    if sys.platform == "linux":
        try:
            words = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return ""
        # A zombie has ended; field 22 is the start time in ticks since the machine was started.
        return "" if words[0] in (b"Z", b"X") else f"{_boot()}/{words[19].decode()}"
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PS_DEADLINE)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


@functools.cache
def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def is_alive(record: Record) -> bool:
    """Whether the process that the record names still runs, and is not another one of the same id."""
    return record.pid is not None and bool(record.birth) and birth_of(record.pid) == record.birth


def marked(markers: Iterable[str]) -> dict[str, list[int]]:
    """The processes that carry one of the markers, by marker. Only Linux lets us look; elsewhere none."""
    wanted = {f"{MARKER}={marker}".encode(): marker for marker in markers}
    found: dict[str, list[int]] = {}
    if sys.platform != "linux" or not wanted:
        return found
    prefix = f"{MARKER}=".encode()
    for entry in os.scandir(_PROC):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"{entry.path}/environ", "rb", buffering=0) as file:  # noqa: PTH123 - half the time
                environment = file.read()
        except OSError:
            continue
        if prefix not in environment:
            continue
        for variable in environment.split(b"\0"):
            if variable in wanted:
                found.setdefault(wanted[variable], []).append(int(entry.name))
    return found


def kill_marked(markers: Iterable[str]) -> None:
    """SIGKILL every process that carries one of the markers, until none is left. Blocks."""
    left = list(markers)
    for number in range(_PASSES):
        found = marked(left)
        if not found:
            return
        time.sleep(_PAUSE * number)  # the killed take a moment to go
        for pids in found.values():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        left = list(found)


def terminate_orphan(record: Record) -> None:
    """Ask what a crashed engine left of an agent to end."""
    _signal_orphan(record, signal.SIGTERM)


def kill_orphan(record: Record) -> None:
    """End what a crashed engine left of an agent: its group, and whatever left the group."""
    _signal_orphan(record, signal.SIGKILL)
    kill_marked([record.marker])


def _signal_orphan(record: Record, number: signal.Signals) -> None:
    if record.pid is not None and is_alive(record):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(record.pid, number)
