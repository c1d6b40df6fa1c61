"""What the engine knows of the runs that are open: enough to put them back should Redis lose its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import StateStoreError
from engine.state import keys, scripts
from engine.state.link import Argument, Command
from engine.state.store import JSON, NO_COLLECTIONS, TaskRecord
from engine.state.values import agent_document, decode_name, encode, fields_of, read_back, task_document


@dataclass(slots=True)
class LiveTask:
    """A task that is not over: the commands that put it there."""

    record: bytes
    agent: str
    agent_record: bytes

    @classmethod
    def of(cls, task: TaskRecord, agent: str) -> LiveTask:
        """From what the orchestrator gives."""
        return cls(task_document(task), agent, agent_document(task, agent))

    def commands(self, run_id: str, task_id: str) -> list[Command]:
        """Write its input and everything that names it."""
        return [
            ("SET", keys.task(task_id), self.record),
            ("RPUSH", keys.tasks(run_id), task_id),
            ("SADD", keys.jobs(run_id), self.agent),
            ("SET", keys.agent(self.agent), self.agent_record),
            ("SADD", keys.AGENTS, self.agent),
        ]


@dataclass(slots=True)
class OpenRun:
    """One open run, as Redis should have it.

    Attributes:
        run_id: its id.
        document: the last document written.
        open_access: whether the default user may use its keys.
        fields: the state hash as last read or written, raw.
        lists, sets: what tasks collected beside it, by key, raw, as last read.
        collections: keys of such lists and sets that are known to exist or to have existed.
        scan_due: whether there may be such keys that nobody told us of.
        live: its tasks that are not over, by id.
        put: ids of all tasks that were put.
    """

    run_id: str
    document: bytes
    open_access: bool
    fields: dict[bytes, bytes]
    lists: dict[bytes, list[bytes]] = field(default_factory=dict)
    sets: dict[bytes, list[bytes]] = field(default_factory=dict)
    collections: set[bytes] = field(default_factory=set)
    scan_due: bool = False
    live: dict[str, LiveTask] = field(default_factory=dict)
    put: set[str] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        run_id: str,
        document: bytes,
        state: Mapping[str, JSON],
        *,
        open_access: bool,
        collections: Mapping[str, str] = NO_COLLECTIONS,
    ) -> OpenRun:
        """A run that begins with `state`, of which `collections` are lists and sets of their own."""
        fields, lists, sets = encode_state(run_id, state, collections)
        return cls(run_id, document, open_access, fields, lists, sets, {*lists, *sets})

    def kinds(self) -> dict[str, str]:
        """`list` or `set` for the names that are not hidden by a field of the same name."""
        found = {_name(self.run_id, key): "list" for key in self.lists}
        found |= {_name(self.run_id, key): "set" for key in self.sets}
        return {name: kind for name, kind in found.items() if name.encode() not in self.fields}

    def establish(self) -> Command:
        """The command that makes its document and, unless it is there, its state."""
        pairs = [part for pair in self.fields.items() for part in pair]
        names = keys.document(self.run_id), keys.state(self.run_id)
        return ("EVAL", scripts.ESTABLISH, 2, *names, self.document, *pairs)

    def restore(self) -> list[Command]:
        """The commands that put back the rest, after Redis has lost it."""
        commands: list[Command] = []
        for add, collected in (("RPUSH", self.lists), ("SADD", self.sets)):
            commands += [("EVAL", scripts.RESTORE, 1, key, add, *items) for key, items in collected.items()]
        for task_id, task in self.live.items():
            commands.append(("LREM", keys.tasks(self.run_id), 0, task_id))
            commands += task.commands(self.run_id, task_id)
        return commands

    def note(self, key: bytes) -> None:
        """A key of this run was changed: remember it if it is one of the state's lists and sets."""
        lists, sets = keys.state_list(self.run_id, ""), keys.state_set(self.run_id, "")
        if key.startswith((lists.encode(), sets.encode())):
            self.collections.add(key)


def encode_fields(state: Mapping[str, JSON]) -> dict[bytes, bytes]:
    """Fields of the state as they stand in the hash.

    Raises:
        StateStoreError: a value is not JSON; names the field.
    """
    return {
        name.encode("utf-8", errors="backslashreplace"): encode(value, f"state field {name!r}")
        for name, value in state.items()
    }


def encode_state(
    run_id: str, state: Mapping[str, JSON], collections: Mapping[str, str]
) -> tuple[dict[bytes, bytes], dict[bytes, list[bytes]], dict[bytes, list[bytes]]]:
    """Of a state what stands in the hash, and the lists and the sets beside it by their keys.

    Raises:
        StateStoreError: a value is not JSON; names the field, list or set.
    """
    lists: dict[bytes, list[bytes]] = {}
    sets: dict[bytes, list[bytes]] = {}
    for name, kind in collections.items():
        items = [encode(item, f"state {kind} {name!r}") for item in state.get(name, ())]
        if kind == "list":
            lists[keys.state_list(run_id, name).encode()] = items
        else:
            sets[keys.state_set(run_id, name).encode()] = items
    return encode_fields(fields_of(state, collections)), lists, sets


def read_command(run_id: str, collections: list[bytes], limit: int) -> Command:
    """The command that reads a run's state and the given lists and sets."""
    names: list[Argument] = [keys.document(run_id), keys.state(run_id), *collections]
    return ("EVAL", scripts.READ, len(names), *names, limit)


@dataclass(slots=True)
class StateRead:
    """A run's state as read: whether the run's document is there, and the raw contents."""

    exists: bool
    fields: dict[bytes, bytes]
    lists: dict[bytes, list[bytes]] = field(default_factory=dict)
    sets: dict[bytes, list[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, run_id: str, collections: list[bytes], reply: list[Any], limit: int) -> StateRead:
        """From the reply to `read_command`.

        Raises:
            StateStoreError: a key is of another type, or too large; names it.
        """
        exists, hash_, *rest = reply
        raw = _content(keys.state(run_id), hash_, (b"hash",), limit)
        read = cls(bool(exists), dict(zip(raw[::2], raw[1::2], strict=True)))
        for key, found in zip(collections, rest, strict=True):
            content = _content(decode_name(key), found, (b"list", b"set"), limit)
            if found[0] == b"list":
                read.lists[key] = content
            elif found[0] == b"set":
                read.sets[key] = content
        return read

    def decoded(self, run_id: str) -> dict[str, JSON]:
        """The state as the engine uses it."""
        return read_back(
            self.fields,
            {_name(run_id, key): items for key, items in self.lists.items()},
            {_name(run_id, key): items for key, items in self.sets.items()},
        )


def _name(run_id: str, key: bytes) -> str:
    return keys.collection_of(run_id, decode_name(key)) or ""


def _content(key: str, found: list[Any], expected: tuple[bytes, ...], limit: int) -> list[bytes]:
    kind, size, content = found
    if kind not in (b"none", *expected):
        wanted = " or ".join(name.decode() for name in expected)
        raise StateStoreError(
            f"{key} in Redis holds a {kind.decode()}, expected a {wanted}",
            hint="a task has overwritten it; tasks change single fields with HSET, RPUSH and SADD",
        )
    if size > limit:
        raise StateStoreError(
            f"{key} in Redis takes {size} bytes, more than the {limit} that are read",
            hint="keep large data in files or a store of your own, and its place in the state",
        )
    return list(content)
