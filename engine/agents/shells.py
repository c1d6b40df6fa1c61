"""Shells into agents: what a person is given to run on a terminal, and the copies that were made for it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from engine.agents.backend import AgentInfo
from engine.agents.process_records import birth_of


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell that can be opened now. Whoever asked for it runs `argv` on a terminal, then closes it.

    Attributes:
        agent: the agent that is entered.
        argv: what to run; its exit code is the shell's.
        copy: the container that holds a copy of a stopped agent's files; "" if the agent itself is entered.
        note: what a person should know before they type.
    """

    agent: str
    argv: tuple[str, ...]
    copy: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ShellCopy:
    """A copy of an agent that was made to be entered, as it is found later.

    Attributes:
        info: the container; its identity says whose home it is of, and which attempt the agent served.
        agent: the name of the agent that it was made from.
        in_use: whether the process that made it is still there; None if that cannot be told from here.
    """

    info: AgentInfo
    agent: str
    in_use: bool | None


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that opened a shell, as it is written on the copy: machine, id, and when it began."""

    host: str
    pid: int
    birth: str

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        return cls(platform.node(), os.getpid(), birth_of(os.getpid()))

    @classmethod
    def read(cls, text: str) -> Owner | None:
        """What `str` has written; None for anything else."""
        host, pid, birth = [*text.split("|", 2), "", ""][:3]
        return cls(host, int(pid), birth) if host and pid.isdecimal() and birth else None

    def __str__(self) -> str:
        return f"{self.host}|{self.pid}|{self.birth}"

    @property
    def is_there(self) -> bool | None:
        """Whether it still runs; None of another machine."""
        if self.host != platform.node():
            return None
        return birth_of(self.pid) == self.birth
