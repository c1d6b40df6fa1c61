"""The State Manager on Redis: shared state, task keys and completions of all runs of one engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.errors import StateStoreError, UnavailableError
from engine.state import keys, scripts
from engine.state.acl import Admission
from engine.state.binaries import Binary, find_binaries
from engine.state.completions import CompletionRouter, Waiting
from engine.state.connection import Connection, all_granted, store_error
from engine.state.link import Argument, Command, CommandError, Link, PushHandler
from engine.state.open_runs import LiveTask, OpenRun, StateRead, encode_fields, encode_state, read_command
from engine.state.outside import OutsideServer
from engine.state.private_files import make_private_directory
from engine.state.server import OwnServer
from engine.state.store import (
    BACKSTOP_SECONDS,
    JSON,
    NO_COLLECTIONS,
    RedisAccess,
    StateChanges,
    TaskOutcome,
    TaskRecord,
)
from engine.state.values import ERROR_LIMIT, Found, bounded, decode_name, encode, outcome_of, update_message

STATE_LIMIT = 64 << 20
"""Bytes of a run's state, or of one list or set beside it, that are read."""

_CONNECT_SECONDS = 5.0
_TELL_OF_KEYS = ("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "workflow:", "NOLOOP")
_TASKS_AT_ONCE = 2000  # whose keys are made to expire in one call, so that none takes long


class RedisStateStore:
    """A `StateStore` on Redis.

    Args:
        home: the engine's home; what belongs to Redis is in `<home>/redis`.
        redis_url: an outside server; None starts, or takes over, one of our own.
        result_limit: bytes that a task's result may have.
        binaries: where to look for the program of a server of our own.
        backstop: seconds after which, at the latest, a result is noticed that nobody announced.

    Attributes:
        notes: plain sentences about what is not as it should be, for the header and `doctor`.
    """

    def __init__(
        self,
        home: Path,
        *,
        redis_url: str | None = None,
        result_limit: int = 1 << 20,
        binaries: Callable[[], Iterable[Binary]] = find_binaries,
        backstop: float = BACKSTOP_SECONDS,
    ) -> None:
        self.notes: list[str] = []
        self._directory = home / "redis"
        self._result_limit = result_limit
        self._server: OwnServer | OutsideServer = (
            OutsideServer(redis_url) if redis_url else OwnServer(self._directory, binaries=binaries)
        )
        self._commands = Connection(
            lambda: self._server.connect(self._on_push),
            self._prepare,
            on_busy=None if self._server.shared else self._server.stop_script,
        )
        self._router = CompletionRouter(
            self._connect_listener, self._commands, self.read_outcome, backstop=backstop
        )
        self._runs: dict[str, OpenRun] = {}
        self._admission = Admission(shared=self._server.shared)
        self._is_told_of_keys = False
        self._is_open = False

    # -- life -------------------------------------------------------------------------------------------

    async def open(self, gateway: str | None = None) -> None:
        """See `StateStore`. May be called again, when the gateway becomes known later."""
        self._server.set_gateway(gateway)
        if self._is_open:
            await self._server.bind(await self._commands.standing())
            return
        make_private_directory(self._directory)
        try:
            self._admission.load(self._directory / "secret")
            await self._commands.open()
            self._is_open = True
            await self._router.open()
        except BaseException as error:
            await self._router.close()
            await self._server.abandon(await self._commands.release())
            self._is_open = False
            if isinstance(error, CommandError | StateStoreError | OSError):
                raise UnavailableError(f"Redis cannot be used: {error}") from error
            raise

    async def close(self) -> None:
        """See `StateStore`."""
        if not self._is_open:
            return
        self._is_open = False
        await self._router.close()
        link = await self._commands.release()
        await self._server.close(link)

    # -- runs -------------------------------------------------------------------------------------------

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
        text = encode(document, f"run {run_id}")
        run = OpenRun.of(run_id, text, state, open_access=open_access, collections=collections)
        commands = await self._restored([run], self._commands.demand)
        self._runs[run_id] = run
        await self._commands.demand([*commands, *self._admission.admit([run_id], self._open_to_all())])

    async def update_run(self, run_id: str, document: Mapping[str, JSON]) -> None:
        """See `StateStore`."""
        text = encode(document, f"run {run_id}")
        if run := self._runs.get(run_id):
            run.document = text
        await self._commands.demand(
            [
                ("SET", keys.document(run_id), text, "KEEPTTL"),
                ("PUBLISH", keys.UPDATES, update_message(run_id, document)),
            ]
        )

    async def tell_metrics(
        self, run_id: str, report: Mapping[str, JSON], message: Mapping[str, JSON], *, last: bool
    ) -> None:
        """See `StateStore`."""
        what = f"the metrics of run {run_id}"
        expiry: tuple[Argument, ...] = ("EX", keys.KEEP_SECONDS) if last else ()
        await self._commands.demand(
            [
                ("SET", keys.metrics(run_id), encode(report, what), *expiry),
                ("PUBLISH", keys.METRICS_EVENTS, encode(message, what)),
            ]
        )

    async def close_run(self, run_id: str) -> None:
        """See `StateStore`."""
        run = self._runs.pop(run_id, None)
        collections = run.collections if run else set()
        await self._commands.demand(self._admission.dismiss(run_id, self._open_to_all()))
        of_the_run: list[Argument] = [keys.document(run_id), keys.state(run_id)]
        of_the_run += [keys.tasks(run_id), keys.jobs(run_id), *collections]
        commands: list[Command] = [("EXPIRE", key, keys.KEEP_SECONDS) for key in of_the_run]
        commands.append(("EVAL", scripts.EXPIRE_AGENTS, 1, keys.jobs(run_id), keys.KEEP_SECONDS))
        commands.append(("EVAL", scripts.PRUNE, 1, keys.WORKFLOWS, keys.document("")))
        commands.append(("EVAL", scripts.PRUNE, 1, keys.AGENTS, keys.agent("")))
        await self._commands.demand(commands)
        start, done = 0, _TASKS_AT_ONCE
        while done == _TASKS_AT_ONCE:
            range_ = (start, start + _TASKS_AT_ONCE - 1, keys.KEEP_SECONDS)
            (done,) = await self._commands.demand(
                [("EVAL", scripts.EXPIRE_TASKS, 1, keys.tasks(run_id), *range_)]
            )
            start += done

    async def read_state(self, run_id: str) -> dict[str, JSON]:
        """See `StateStore`."""
        run = self._runs.get(run_id)
        if run is None or run.scan_due or not self._is_told_of_keys:
            found = await self._find_collections(run_id)
            if run is not None:
                run.collections |= found
                run.scan_due = False
        else:
            found = set(run.collections)
        read = await self._read_state(run_id, sorted(found))
        if run is None:
            return read.decoded(run_id)
        if new := run.collections - found:  # told of while reading: they may belong to what was read
            more = await self._read_state(run_id, sorted(new))
            read.lists |= more.lists
            read.sets |= more.sets
        if not read.exists:
            await self._commands.demand(await self._restored([run], self._commands.demand))
            if run.fields and not read.fields:
                raise StateStoreError(
                    f"the keys of run {run_id} were gone from Redis: flushed, evicted or deleted",
                    hint="its state was put back as the engine last knew it",
                )
        run.fields, run.lists, run.sets = read.fields, read.lists, read.sets
        return read.decoded(run_id)

    def collections(self, run_id: str) -> dict[str, str]:
        """See `StateStore`."""
        run = self._runs.get(run_id)
        return run.kinds() if run else {}

    async def write_state(self, run_id: str, changes: StateChanges) -> None:
        """See `StateStore`."""
        if not changes:
            return
        fields, lists, sets = encode_state(run_id, changes.set, changes.collections)
        removed = list(encode_fields(dict.fromkeys(changes.removed)))
        commands: list[Command] = []
        if fields:
            commands.append(("HSET", keys.state(run_id), *(part for pair in fields.items() for part in pair)))
        if removed:
            commands.append(("HDEL", keys.state(run_id), *removed))
        for add, collected in (("RPUSH", lists), ("SADD", sets)):
            commands += [("DEL", key) for key in collected]
            commands += [(add, key, *items) for key, items in collected.items() if items]
        await self._commands.demand(commands)
        if run := self._runs.get(run_id):
            run.collections |= {*lists, *sets}
            run.fields.update(fields)
            for name in removed:
                run.fields.pop(name, None)

    # -- tasks ------------------------------------------------------------------------------------------

    async def put_task(self, task: TaskRecord, agent: str) -> None:
        """See `StateStore`."""
        task_id, run_id = task.task_id, task.workflow_id
        live = LiveTask.of(task, agent)
        self._router.forget(task_id)
        commands: list[Command] = [("DEL", keys.result(task_id), keys.error(task_id))]
        run = self._runs.get(run_id)
        if run is None or task_id in run.put:
            commands.append(("LREM", keys.tasks(run_id), 0, task_id))
        if run is not None:
            run.put.add(task_id)
            run.live[task_id] = live
        await self._commands.demand([*commands, *live.commands(run_id, task_id)])

    @asynccontextmanager
    async def completion(self, task_id: str, *, fresh: bool = False) -> AsyncIterator[Waiting]:
        """See `StateStore`."""
        try:
            async with self._router.completion(task_id, fresh=fresh) as waiting:
                yield waiting
        finally:
            self._no_longer_live(task_id)

    async def read_outcome(self, task_id: str) -> TaskOutcome:
        """See `StateStore`."""
        result, error = keys.result(task_id), keys.error(task_id)
        replies = await self._commands.run(
            [
                *(("TYPE", result), ("STRLEN", result), ("GETRANGE", result, 0, self._result_limit - 1)),
                *(("TYPE", error), ("STRLEN", error), ("GETRANGE", error, 0, ERROR_LIMIT - 1)),
            ]
        )
        return outcome_of(
            task_id,
            _found(("TYPE", result), replies[:3]),
            _found(("TYPE", error), replies[3:]),
            self._router.announced(task_id),
            result_limit=self._result_limit,
        )

    async def announce(self, task_id: str, *, result: str | None, error: str | None) -> None:
        """See `StateStore`."""
        commands: list[Command] = []
        for key, text in ((keys.result(task_id), result), (keys.error(task_id), error)):
            if text is not None:
                data = bounded(text.encode("utf-8", errors="replace"), key)
                commands.append(("SET", key, data, "NX"))
            commands.append(("EXPIRE", key, keys.KEEP_SECONDS))
        commands.append(
            ("EVAL", scripts.EXPIRE_IF_SMALL, 1, keys.task(task_id), keys.KEEP_SECONDS, keys.SMALL_INPUT)
        )
        message = keys.ERROR if error is not None else keys.COMPLETED
        if self._router.announced(task_id) != message:
            commands.append(("PUBLISH", keys.completion(task_id), message))
        commands.append(("PUBLISH", keys.COMPLETIONS, f"{task_id} {message}"))
        self._no_longer_live(task_id)
        await self._commands.demand(commands)

    async def forget_agent(self, run_id: str, agent: str) -> None:
        """See `StateStore`."""
        await self._commands.demand([("DEL", keys.agent(agent)), ("SREM", keys.AGENTS, agent)])

    # -- what it is -------------------------------------------------------------------------------------

    def environment(self, run_id: str, access: RedisAccess, *, containerised: bool) -> dict[str, str]:
        """See `StateStore`."""
        if access is RedisAccess.NONE:
            return {}
        own = self._server.address
        there = replace(
            own, host=self._server.host_for(containerised=containerised), username="", password=""
        )
        place = {"REDIS_HOST": there.host, "REDIS_PORT": str(there.port)}
        if access is RedisAccess.OPEN:
            return {**place, "REDIS_URL": there.url}
        user, password = own.username, own.password
        if self._admission.makes_users:
            user, password = self._admission.login_of(run_id)
        login = {"REDIS_USERNAME": user, "REDIS_PASSWORD": password} if password else {}
        return {**place, **login, "REDIS_URL": replace(there, username=user, password=password).url}

    def connection_url(self) -> str:
        """See `StateStore`."""
        return self._server.address.url

    def describe(self) -> str:
        """See `StateStore`."""
        return "; ".join([self._server.describe(), *self.notes])

    def outages(self) -> AsyncIterator[bool]:
        """See `StateStore`."""
        return self._commands.changes()

    # -- keeping Redis as it should be ------------------------------------------------------------------

    async def _connect_listener(self, on_push: PushHandler) -> Link:
        return await Link.connect(self._server.address, on_push, timeout=_CONNECT_SECONDS)

    async def _prepare(self, link: Link) -> None:
        """Make a fresh link ready, and put back what a server without its data lacks.

        Users come last: no task may write to a state that is only half there.
        """

        async def demand(commands: Sequence[Command]) -> list[Any]:
            return all_granted(commands, await link.send(commands))

        (told,) = await link.send([_TELL_OF_KEYS])
        self._is_told_of_keys = not isinstance(told, CommandError)
        await self._admission.look_around(link)
        if not self._admission.makes_users:
            self._note("it does not let us make users, so tasks get the login of redis_url")
        for run in list(self._runs.values()):
            try:
                await demand(await self._restored([run], demand))
            except StateStoreError as error:  # what a task did to its own keys must not keep all others out
                self._note(f"run {run.run_id}: {error.message}")
        await demand(self._admission.admit(self._runs, self._open_to_all()))

    async def _restored(
        self, runs: Sequence[OpenRun], demand: Callable[[Sequence[Command]], Awaitable[list[Any]]]
    ) -> list[Command]:
        """Make the documents and states of runs; returns what is left to send for them."""
        commands: list[Command] = []
        for run, (fresh, known) in zip(runs, await demand([run.establish() for run in runs]), strict=True):
            commands.append(("SADD", keys.WORKFLOWS, run.run_id))
            commands += [("PERSIST", key) for key in (keys.tasks(run.run_id), keys.jobs(run.run_id))]
            if fresh:
                commands += run.restore()
            # Others may have made lists and sets while we were not told.
            run.scan_due = not fresh or bool(known)
        return commands

    def _open_to_all(self) -> set[str]:
        return {run.run_id for run in self._runs.values() if run.open_access}

    def _on_push(self, push: list[Any]) -> None:
        """Keys below `workflow:` were changed, by anyone but us."""
        if push[0] != b"invalidate":
            return
        for key in push[1] or ():  # nothing: the whole database was flushed
            run = self._runs.get(decode_name(key.split(b":", 2)[1]))
            if run is not None:
                run.note(key)

    async def _read_state(self, run_id: str, collections: list[bytes]) -> StateRead:
        (reply,) = await self._commands.demand([read_command(run_id, collections, STATE_LIMIT)])
        return StateRead.of(run_id, collections, reply, STATE_LIMIT)

    async def _find_collections(self, run_id: str) -> set[bytes]:
        """Look through all of Redis for the lists and sets of a run's state."""
        found: set[bytes] = set()
        cursor: Argument = 0
        pattern = f"{keys.state(run_id)}:*"
        while True:
            (reply,) = await self._commands.demand([("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)])
            cursor, some = reply
            found.update(key for key in some if keys.collection_of(run_id, decode_name(key)) is not None)
            if cursor == b"0":
                return found

    def _no_longer_live(self, task_id: str) -> None:
        for run in self._runs.values():
            run.live.pop(task_id, None)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def _found(command: Command, replies: list[Any]) -> Found:
    kind, size, data = replies
    if isinstance(kind, CommandError):
        raise store_error(command, kind)
    if kind != b"string":
        return Found(kind.decode())
    if isinstance(size, CommandError) or isinstance(data, CommandError):  # overwritten between the two
        return Found("value of another type")
    return Found("string", size, data)
