"""The State Manager without Redis: the same promises kept in memory, for tests of the engine.

It uses no socket and no thread, so it runs under virtual time. What a container would do to Redis, a
scripted agent does through the methods at the end of `MemoryStateStore`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from engine.errors import StateStoreError
from engine.state import keys
from engine.state.store import (
    BACKSTOP_SECONDS,
    JSON,
    NO_COLLECTIONS,
    RedisAccess,
    StateChanges,
    TaskOutcome,
    TaskRecord,
)
from engine.state.values import (
    ERROR_LIMIT,
    Found,
    agent_document,
    bounded,
    encode,
    fields_of,
    outcome_of,
    read_back,
    task_document,
    update_message,
)

T = TypeVar("T")

_KINDS: dict[type, str] = {bytes: "string", dict: "hash", list: "list", set: "set"}


class _Keys:
    """A keyspace with Redis' types and expiry, on the loop's time."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._families: dict[str, dict[str, None]] = {}  # their keys, by what they begin with
        self._deadlines: dict[str, float] = {}

    def get(self, key: str) -> Any | None:
        """What stands at a key, whatever its type. An empty collection does not exist."""
        deadline = self._deadlines.get(key)
        if deadline is not None and deadline <= asyncio.get_running_loop().time():
            self.delete(key)
        value = self._values.get(key)
        return None if isinstance(value, dict | list | set) and not value else value

    def typed(self, key: str, kind: type[T]) -> T:
        """The collection at a key; made if the key is free.

        Raises:
            StateStoreError: something of another type stands there.
        """
        value = self.get(key)
        if value is None:
            value = kind()
            self._put(key, value)
        if not isinstance(value, kind):
            raise StateStoreError(f"{key} holds a {_KINDS[type(value)]}, expected a {_KINDS[kind]}")
        return value

    def set(self, key: str, value: Any, *, keep_expiry: bool = False) -> None:
        """Put a value at a key, whatever stood there."""
        self._put(key, value)
        if not keep_expiry:
            self._deadlines.pop(key, None)

    def delete(self, *names: str) -> None:
        """Remove keys."""
        for key in names:
            if self._values.pop(key, None) is not None:
                family = self._families[_family(key)]
                del family[key]
                if not family:
                    del self._families[_family(key)]
            self._deadlines.pop(key, None)

    def expire(self, *names: str) -> None:
        """Let keys live for another hour."""
        deadline = asyncio.get_running_loop().time() + keys.KEEP_SECONDS
        self._deadlines.update(dict.fromkeys((key for key in names if key in self._values), deadline))

    def persist(self, *names: str) -> None:
        """Let keys live for good."""
        for key in names:
            self._deadlines.pop(key, None)

    def find(self, key: str) -> Found:
        """What stands at a key, as `values` judges it."""
        value = self.get(key)
        if value is None:
            return Found()
        if not isinstance(value, bytes):
            return Found(_KINDS[type(value)])
        return Found("string", len(value), value)

    def beginning_with(self, prefix: str) -> list[str]:
        """Names of the keys that begin so: with `workflow:{id}`, or with more than that."""
        family = list(self._families.get(_family(prefix), ()))
        return [key for key in family if key.startswith(prefix) and self.get(key) is not None]

    def _put(self, key: str, value: Any) -> None:
        self._values[key] = value
        self._families.setdefault(_family(key), {})[key] = None


def _family(key: str) -> str:
    """`workflow:{id}`, `task:{id}`, …: what the keys of one thing begin with."""
    return ":".join(key.split(":", 2)[:2])


class _Waiting:
    """One entered `completion`."""

    def __init__(self, read: Callable[[], TaskOutcome]) -> None:
        self._read = read
        self.woken = asyncio.Event()

    async def wait(self) -> TaskOutcome:
        """See `store.Completion`."""
        while not (outcome := self._read()):
            self.woken.clear()
            await self.woken.wait()
        return outcome


class MemoryStateStore:
    """A `StateStore` in memory.

    Attributes:
        published: every message, as `(channel, text)`, in order.
        down: while set, calls fail as they do when Redis does not answer.
    """

    def __init__(self, *, result_limit: int = 1 << 20, backstop: float = BACKSTOP_SECONDS) -> None:
        self.published: list[tuple[str, str]] = []
        self.down = False
        self._result_limit = result_limit
        self._backstop = backstop
        self._keys = _Keys()
        self._put: set[str] = set()  # ids of all tasks
        self._waiting: dict[str, set[_Waiting]] = {}
        self._announced: dict[str, str] = {}
        self._listeners: set[asyncio.Queue[bool]] = set()

    async def open(self, gateway: str | None = None) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def open_run(
        self,
        run_id: str,
        document: Mapping[str, JSON],
        state: Mapping[str, JSON],
        *,
        open_access: bool,
        collections: Mapping[str, str] = NO_COLLECTIONS,
    ) -> None:
        """See `StateStore`."""
        self._check_up()
        self._keys.set(keys.document(run_id), encode(document, f"run {run_id}"))
        self._keys.typed(keys.WORKFLOWS, set).add(run_id.encode())
        if self._keys.get(keys.state(run_id)) is None and state:
            fields = fields_of(state, collections)
            self._write(run_id, StateChanges(set=fields))
            self._collect(run_id, state, collections)
        self._keys.persist(*self._keys.beginning_with(keys.document(run_id)))

    async def update_run(self, run_id: str, document: Mapping[str, JSON]) -> None:
        """See `StateStore`."""
        self._check_up()
        self._keys.set(keys.document(run_id), encode(document, f"run {run_id}"), keep_expiry=True)
        self.published.append((keys.UPDATES, update_message(run_id, document).decode()))

    async def tell_metrics(
        self, run_id: str, report: Mapping[str, JSON], message: Mapping[str, JSON], *, last: bool
    ) -> None:
        """See `StateStore`."""
        self._check_up()
        key = keys.metrics(run_id)
        self._keys.set(key, encode(report, key))
        if last:
            self._keys.expire(key)
        self.published.append((keys.METRICS_EVENTS, encode(message, key).decode()))

    async def close_run(self, run_id: str) -> None:
        """See `StateStore`."""
        self._check_up()
        self._keys.expire(*self._keys.beginning_with(keys.document(run_id)))
        for task_id in self._keys.typed(keys.tasks(run_id), list):
            self._keys.expire(*self._task_keys(task_id.decode()))

    async def read_state(self, run_id: str) -> dict[str, JSON]:
        """See `StateStore`."""
        self._check_up()
        lists, sets = keys.state_list(run_id, ""), keys.state_set(run_id, "")
        return read_back(
            self._keys.typed(keys.state(run_id), dict),
            {key[len(lists) :]: self._keys.typed(key, list) for key in self._keys.beginning_with(lists)},
            {key[len(sets) :]: list(self._keys.typed(key, set)) for key in self._keys.beginning_with(sets)},
        )

    def collections(self, run_id: str) -> dict[str, str]:
        """See `StateStore`."""
        lists, sets = keys.state_list(run_id, ""), keys.state_set(run_id, "")
        found = {key[len(lists) :]: "list" for key in self._keys.beginning_with(lists)}
        found |= {key[len(sets) :]: "set" for key in self._keys.beginning_with(sets)}
        fields = self._keys.typed(keys.state(run_id), dict)
        return {name: kind for name, kind in found.items() if name.encode() not in fields}

    async def write_state(self, run_id: str, changes: StateChanges) -> None:
        """See `StateStore`."""
        self._check_up()
        collections = changes.collections
        self._write(run_id, replace(changes, set=fields_of(changes.set, collections)))
        self._collect(run_id, changes.set, collections)

    async def put_task(self, task: TaskRecord, agent: str) -> None:
        """See `StateStore`."""
        self._check_up()
        self._announced.pop(task.task_id, None)
        self._keys.delete(keys.result(task.task_id), keys.error(task.task_id))
        self._keys.set(keys.task(task.task_id), task_document(task))
        known = self._keys.typed(keys.tasks(task.workflow_id), list)
        if task.task_id not in self._put:
            self._put.add(task.task_id)
            known.append(task.task_id.encode())
        self._keys.typed(keys.jobs(task.workflow_id), set).add(agent.encode())
        self._keys.set(keys.agent(agent), agent_document(task, agent))
        self._keys.typed(keys.AGENTS, set).add(agent.encode())

    @asynccontextmanager
    async def completion(self, task_id: str, *, fresh: bool = False) -> AsyncIterator[_Waiting]:
        """See `StateStore`."""
        self._check_up()
        waiting = _Waiting(lambda: self._outcome(task_id))
        self._waiting.setdefault(task_id, set()).add(waiting)
        try:
            yield waiting
        finally:
            self._waiting[task_id].discard(waiting)
            if not self._waiting[task_id]:
                del self._waiting[task_id]
                self._announced.pop(task_id, None)

    async def read_outcome(self, task_id: str) -> TaskOutcome:
        """See `StateStore`."""
        self._check_up()
        return self._outcome(task_id)

    async def announce(self, task_id: str, *, result: str | None, error: str | None) -> None:
        """See `StateStore`."""
        self._check_up()
        for key, text in ((keys.result(task_id), result), (keys.error(task_id), error)):
            if text is not None and self._keys.get(key) is None:
                self._keys.set(key, bounded(text.encode("utf-8", errors="replace"), key))
        if self._keys.find(keys.task(task_id)).size > keys.SMALL_INPUT:
            self._keys.delete(keys.task(task_id))
        self._keys.expire(*self._task_keys(task_id))
        message = keys.ERROR if error is not None else keys.COMPLETED
        if self._announced.get(task_id) != message:
            await self.publish(task_id, message)
        self.published.append((keys.COMPLETIONS, f"{task_id} {message}"))

    async def forget_agent(self, run_id: str, agent: str) -> None:
        """See `StateStore`."""
        self._check_up()
        self._keys.delete(keys.agent(agent))
        self._keys.typed(keys.AGENTS, set).discard(agent.encode())

    def environment(self, run_id: str, access: RedisAccess, *, containerised: bool) -> dict[str, str]:
        """The variables that a task gets, with values that lead nowhere."""
        if access is RedisAccess.NONE:
            return {}
        host = "gateway.invalid" if containerised else "localhost.invalid"
        place = {"REDIS_HOST": host, "REDIS_PORT": "6379"}
        if access is RedisAccess.OPEN:
            return {**place, "REDIS_URL": f"redis://{host}:6379/0"}
        user = f"run-{run_id}"
        url = f"redis://{user}:secret@{host}:6379/0"
        return {**place, "REDIS_URL": url, "REDIS_USERNAME": user, "REDIS_PASSWORD": "secret"}

    def connection_url(self) -> str:
        """There is none to connect to."""
        return "memory:"

    def describe(self) -> str:
        """One line for the header."""
        return "shared state in memory, gone with this process"

    async def outages(self) -> AsyncIterator[bool]:
        """See `StateStore`."""
        queue: asyncio.Queue[bool] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    # -- what a container could do ----------------------------------------------------------------------

    async def get(self, key: str) -> str | None:
        """GET."""
        found = self._keys.find(key)
        return found.data.decode() if found.kind == "string" else None

    async def hset(self, run_id: str, field: str, value: str) -> None:
        """HSET `workflow:{run}:state`; `value` is raw text."""
        self._keys.typed(keys.state(run_id), dict)[field.encode()] = value.encode()

    async def rpush(self, run_id: str, name: str, value: str) -> None:
        """RPUSH `workflow:{run}:state:list:{name}`."""
        self._keys.typed(keys.state_list(run_id, name), list).append(value.encode())

    async def sadd(self, run_id: str, name: str, value: str) -> None:
        """SADD `workflow:{run}:state:set:{name}`."""
        self._keys.typed(keys.state_set(run_id, name), set).add(value.encode())

    async def set_key(self, key: str, value: bytes | dict[bytes, bytes]) -> None:
        """Put a string or a hash anywhere, whatever stood there."""
        self._keys.set(key, value)

    async def set_result(self, task_id: str, text: str) -> None:
        """SET `task:{id}:result`, without a word to anyone."""
        await self._set_quietly(task_id, keys.result(task_id), text)

    async def set_error(self, task_id: str, text: str) -> None:
        """SET `task:{id}:error`, without a word to anyone."""
        await self._set_quietly(task_id, keys.error(task_id), text)

    async def publish(self, task_id: str, message: str) -> None:
        """PUBLISH `task:{id}:complete`."""
        self.published.append((keys.completion(task_id), message))
        if task_id in self._waiting:
            self._announced[task_id] = message
            self._wake(task_id)

    def set_down(self, down: bool) -> None:
        """Lose Redis, or have it back; what it held is still there."""
        if down == self.down:
            return
        self.down = down
        for queue in self._listeners:
            queue.put_nowait(not down)

    # -- inside -----------------------------------------------------------------------------------------

    def _check_up(self) -> None:
        if self.down:
            raise StateStoreError("Redis does not answer", hint="the test that runs now has switched it off")

    def _collect(self, run_id: str, values: Mapping[str, JSON], collections: Mapping[str, str]) -> None:
        """Make the lists and sets that stand beside the fields."""
        for name, kind in collections.items():
            items = [encode(item, f"state {kind} {name!r}") for item in values.get(name, ())]
            if kind == "list":
                self._keys.set(keys.state_list(run_id, name), items)
            else:
                self._keys.set(keys.state_set(run_id, name), set(items))

    def _write(self, run_id: str, changes: StateChanges) -> None:
        encoded = {
            name.encode(): encode(value, f"state field {name!r}") for name, value in changes.set.items()
        }
        state = self._keys.typed(keys.state(run_id), dict)
        state.update(encoded)
        for name in changes.removed:
            state.pop(name.encode(), None)
        if not state:
            self._keys.delete(keys.state(run_id))

    def _outcome(self, task_id: str) -> TaskOutcome:
        result = self._keys.find(keys.result(task_id))
        error = self._keys.find(keys.error(task_id))
        bounded = Found(error.kind, error.size, error.data[:ERROR_LIMIT])
        announced = self._announced.get(task_id)
        return outcome_of(task_id, result, bounded, announced, result_limit=self._result_limit)

    def _task_keys(self, task_id: str) -> tuple[str, str, str]:
        return keys.task(task_id), keys.result(task_id), keys.error(task_id)

    async def _set_quietly(self, task_id: str, key: str, text: str) -> None:
        self._keys.set(key, text.encode())
        if task_id in self._waiting:
            asyncio.get_running_loop().call_later(self._backstop, self._wake, task_id)

    def _wake(self, task_id: str) -> None:
        for waiting in self._waiting.get(task_id, ()):
            waiting.woken.set()
