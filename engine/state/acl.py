"""Who may do what in Redis: the engine everything, a run's tasks only what is theirs.

A run's password is derived from a secret of the home, so that the next engine on it knows the passwords of
the tasks that are still running after a crash, and none has to be stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.state.link import Command, CommandError, Link
from engine.state.private_files import write_private_file

ENGINE = "agentainer"
"""The engine's own user."""

_SECRET_LENGTH = 64  # hex digits
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # nothing that is a wildcard or a separator in a rule

_GRANTED = (
    *("+@read", "+@write", "+@blocking", "+@pubsub", "+@scripting", "+@transaction", "+@connection"),
    *("+select", "+time"),
    # Some of these tell about, or touch, more than the keys that the command names.
    *("-@admin", "-@dangerous", "-scan", "-randomkey", "-dbsize", "-pubsub", "-memory"),
    *("-script", "+script|load", "+script|exists"),
)
_SINCE_7 = ("-function", "-client|tracking", "-client|caching")
# Before 7.0 the categories refuse `client` as a whole; clients use these when they connect.
_BEFORE_7 = ("+client|setname", "+client|getname", "+client|id", "+client|setinfo")


def user_of(run_id: str) -> str:
    """The name of a run's user."""
    return f"run-{run_id}"


def password_of(secret: bytes, run_id: str) -> str:
    """The password of a run's user."""
    return hmac.new(secret, run_id.encode(), hashlib.sha256).hexdigest()


def load_secret(file: Path) -> bytes:
    """The home's secret; made when there is none yet, or only a part of one."""
    with contextlib.suppress(FileNotFoundError):
        if len(found := file.read_text().strip()) == _SECRET_LENGTH:
            return found.encode()
    write_private_file(file, secrets.token_hex(_SECRET_LENGTH // 2))
    return load_secret(file)


def server_file(password: str) -> str:
    """The ACL file of a server of our own: nobody but the engine may do anything from the first moment."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    return f"user default off\nuser {ENGINE} on #{digest} ~* &* +@all\n"


def run_user(run_id: str, password: str, version: tuple[int, ...]) -> tuple[str, ...]:
    """The command that makes, or makes again, the user of one run."""
    login = ("on", f">{password}")
    return ("ACL", "SETUSER", user_of(run_id), "reset", *login, *_keys_of(run_id), *_granted(version))


def open_user(run_ids: Iterable[str], version: tuple[int, ...]) -> tuple[str, ...]:
    """The command that lets anyone, without a password, into these runs; with none, it keeps all out."""
    patterns = [pattern for run_id in sorted(run_ids) for pattern in _keys_of(run_id)]
    if not patterns:
        return ("ACL", "SETUSER", "default", "reset")
    return ("ACL", "SETUSER", "default", "reset", "on", "nopass", *patterns, *_granted(version))


def runs_open_to_all(user: Mapping[bytes, Any]) -> set[str]:
    """The runs that the default user may enter, from the server's description of it."""
    keys = user.get(b"keys", b"")  # a list before 7.0
    text = (b" ".join(keys) if isinstance(keys, list) else keys).decode("utf-8", errors="replace")
    return set(re.findall(r"workflow:([A-Za-z0-9_-]+)(?=\s|$)", text))


class Admission:
    """Lets tasks in, each to what is its own.

    Args:
        shared: whether the server is used by others, too: their default user is not ours to change.

    Attributes:
        makes_users: whether the server lets us make users at all.
    """

    def __init__(self, *, shared: bool) -> None:
        self.makes_users = True
        self._shared = shared
        self._secret = b""
        self._version: tuple[int, ...] = ()
        self._inherited: set[str] | None = None  # runs that an earlier engine opened to all

    def load(self, secret_file: Path) -> None:
        """Load the home's secret."""
        self._secret = load_secret(secret_file)

    async def look_around(self, link: Link) -> None:
        """Find out what the server behind a fresh link lets us do, and what an earlier engine has done."""
        self._version = link.version
        if self._inherited is not None:
            return
        self._inherited = set()
        if self._shared:
            probe = f"{ENGINE}-probe-{secrets.token_hex(4)}"
            made, _ = await link.send([("ACL", "SETUSER", probe, "reset"), ("ACL", "DELUSER", probe)])
            self.makes_users = not isinstance(made, CommandError)
            return
        (user,) = await link.send([("ACL", "GETUSER", "default")])
        if isinstance(user, dict) and b"on" in user.get(b"flags", ()):
            self._inherited = runs_open_to_all(user)

    def login_of(self, run_id: str) -> tuple[str, str]:
        """User and password of a run's tasks; only where the server lets us make users."""
        return user_of(run_id), password_of(self._secret, run_id)

    def admit(self, run_ids: Iterable[str], open_to_all: set[str]) -> list[Command]:
        """The commands that make the users of runs; `open_to_all` are all runs that ask no password."""
        if not self.makes_users:
            return []
        users: list[Command] = [
            run_user(run_id, password_of(self._secret, run_id), self._version) for run_id in run_ids
        ]
        return [*users, *self._default_user(open_to_all)]

    def dismiss(self, run_id: str, open_to_all: set[str]) -> list[Command]:
        """The commands that remove the user of a run, which also ends its connections."""
        if not self.makes_users:
            return []
        if self._inherited:
            self._inherited.discard(run_id)
        return [("ACL", "DELUSER", user_of(run_id)), *self._default_user(open_to_all)]

    def _default_user(self, open_to_all: set[str]) -> list[Command]:
        return [] if self._shared else [open_user(open_to_all | (self._inherited or set()), self._version)]


def _keys_of(run_id: str) -> tuple[str, ...]:
    if not _RUN_ID.fullmatch(run_id):
        raise ValueError(f"not a run id: {run_id!r}")
    workflow, task = f"workflow:{run_id}", f"task:task-{run_id}-*"
    return (f"~{workflow}", f"~{workflow}:*", f"~{task}", "resetchannels", f"&{task}")


def _granted(version: tuple[int, ...]) -> tuple[str, ...]:
    return (*_GRANTED, *(_SINCE_7 if version >= (7,) else _BEFORE_7))
