"""What every backend must do, whatever its agents are: the text of `engine.agents.backend` as tests.

A subclass per backend gives the fixtures `backend` (open) and `image`.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
from collections.abc import Awaitable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.agents.backend import AgentIdentity, AgentPhase, AgentSpec, Backend, Exit, Sample, Stream
from engine.errors import BackendError, Reason

T = TypeVar("T")

# Nothing in these tests takes this long, on the slowest machine; only a hang does.
PATIENCE = 60.0
_numbers = itertools.count(1)


async def soon(work: Awaitable[T]) -> T:
    """Await it, but fail rather than hang."""
    return await asyncio.wait_for(work, PATIENCE)


@dataclass
class Recording:
    """A sink that keeps everything and can be waited on."""

    parts: list[tuple[Stream, bytes, datetime | None]] = field(default_factory=list)
    restarts: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, stream: Stream, data: bytes, time: datetime | None = None) -> None:
        self.parts.append((stream, data, time))
        self._news.set()

    def restart(self) -> None:
        self.parts.clear()
        self.restarts += 1

    def text(self, stream: Stream = "stdout") -> bytes:
        return b"".join(data for name, data, _ in self.parts if name == stream)

    async def says(self, words: bytes) -> None:
        """Wait until the words have come on standard output."""

        async def heard() -> None:
            while words not in self.text():
                self._news.clear()
                await self._news.wait()

        await soon(heard())


@dataclass
class Counting:
    """A sink for floods: keeps a digest, the length and the largest piece."""

    size: int = 0
    largest: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def write(self, stream: Stream, data: bytes, time: datetime | None = None) -> None:
        self.size += len(data)
        self.largest = max(self.largest, len(data))
        self.digest.update(data)

    def restart(self) -> None:
        self.__init__()  # type: ignore[misc]


def make_spec(
    instance: str, command: str | tuple[str, ...] | None, image: str | None, **changes: Any
) -> AgentSpec:
    """A spec with a name of its own in this test session."""
    number = next(_numbers)
    name = changes.pop("name", f"agentainer-{instance}-{number}")
    identity = AgentIdentity(
        instance=instance,
        workflow="demo",
        run_id="0123456789ab",
        step_id="step",
        item=changes.pop("item", None),
        attempt=1,
        task_id=f"task-0123456789ab-step-{number}-1",
    )
    return AgentSpec(
        name=name,
        identity=identity,
        image=image,
        command=command,
        env=changes.pop("env", {}),
        digest=changes.pop("digest", "one"),
        **changes,
    )


async def begin(backend: Backend, spec: AgentSpec, sink: Recording | Counting | None = None) -> Recording:
    """Prepare, create, start."""
    recording = Recording()
    await soon(backend.prepare(spec))
    await soon(backend.create(spec, sink or recording))
    await soon(backend.start(spec.name))
    return recording


class BackendContract:
    """The cases."""

    async def end_of(self, backend: Backend, spec: AgentSpec) -> tuple[Exit, Recording]:
        sink = await begin(backend, spec)
        return await soon(backend.wait(spec.name)), sink

    # -- output ---------------------------------------------------------------------------------------

    async def test_output_is_complete_when_wait_returns_however_short_the_agent_lives(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        specs = [make_spec(instance, f"echo out {i}; echo err {i} >&2", image) for i in range(4)]
        results = await asyncio.gather(*(self.end_of(backend, spec) for spec in specs))
        for index, (end, sink) in enumerate(results):
            assert end.code == 0
            assert sink.text("stdout") == f"out {index}\n".encode()
            assert sink.text("stderr") == f"err {index}\n".encode()

    async def test_output_without_a_last_newline_is_delivered(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        _, sink = await self.end_of(backend, make_spec(instance, "printf unfinished", image))
        assert sink.text() == b"unfinished"

    async def test_binary_output_is_delivered_byte_by_byte(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        wanted = bytes(range(256))
        octal = "".join(f"\\{byte:03o}" for byte in wanted)
        _, sink = await self.end_of(backend, make_spec(instance, ("printf", octal), image))
        assert sink.text() == wanted

    async def test_a_flood_without_newlines_comes_whole_and_in_small_pieces(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        size = 50 << 20
        spec = make_spec(instance, f"yes 0123456789abcde | tr -d '\\n' | head -c {size}", image)
        sink = Counting()
        await begin(backend, spec, sink)
        end = await soon(backend.wait(spec.name))
        assert end.code == 0
        assert sink.size == size
        expected = (b"0123456789abcde" * (size // 15 + 1))[:size]
        assert sink.digest.hexdigest() == hashlib.sha256(expected).hexdigest()
        assert sink.largest <= 1 << 20

    async def test_output_arrives_while_the_agent_runs(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        spec = make_spec(instance, "echo early; sleep 600", image)
        sink = await begin(backend, spec)
        await sink.says(b"early\n")
        await soon(backend.kill(spec.name))

    # -- commands and environment ---------------------------------------------------------------------

    async def test_a_string_runs_under_a_shell_and_a_list_does_not(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        env = {"VALUE": "'; echo injected $(id)\n#"}
        _, shell = await self.end_of(backend, make_spec(instance, 'printf %s "$VALUE"', image, env=env))
        assert shell.text().decode() == env["VALUE"]
        _, plain = await self.end_of(
            backend, make_spec(instance, ("printf", "%s", "$VALUE; id"), image, env=env)
        )
        assert plain.text() == b"$VALUE; id"

    async def test_standard_input_is_empty(self, backend: Backend, instance: str, image: str | None) -> None:
        end, sink = await self.end_of(backend, make_spec(instance, "cat; echo done", image))
        assert (end.code, sink.text()) == (0, b"done\n")

    @pytest.mark.parametrize(
        ("env", "command"),
        [
            ({"A\0": "x"}, "true"),
            ({"A": "x\0y"}, "true"),
            ({"A": "\ud800"}, "true"),
            ({"": "x"}, "true"),
            ({"A=B": "x"}, "true"),
            ({}, "echo a\0b"),
            ({}, ("echo", "a\0b")),
            ({}, ("echo", "\udfff")),
        ],
    )
    async def test_what_no_process_can_be_given_is_refused(
        self,
        backend: Backend,
        instance: str,
        image: str | None,
        env: dict[str, str],
        command: str | tuple[str, ...],
    ) -> None:
        spec = make_spec(instance, command, image, env=env)
        with pytest.raises(BackendError) as caught:
            await soon(backend.prepare(spec))
        assert (caught.value.reason, caught.value.transient) == (Reason.INPUT_ERROR, False)

    # -- ends -----------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("command", "code"),
        [("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137), ("nonsense", 127)],
    )
    async def test_exit_codes_and_signals(
        self, backend: Backend, instance: str, image: str | None, command: str, code: int
    ) -> None:
        end, _ = await self.end_of(backend, make_spec(instance, command, image))
        assert (end.code, end.lost, end.oom, end.start_error) == (code, False, False, "")
        assert end.started_at is not None and end.finished_at is not None
        assert end.started_at <= end.finished_at

    @pytest.mark.parametrize(
        ("command", "code"), [(("no-such-program", "x"), 127), (("/etc/passwd",), 126), (("/tmp",), 126)]
    )
    async def test_a_program_that_cannot_be_started_is_told_from_one_that_fails(
        self, backend: Backend, instance: str, image: str | None, command: tuple[str, ...], code: int
    ) -> None:
        spec = make_spec(instance, command, image)
        try:
            await begin(backend, spec)
        except BackendError as error:
            assert (error.reason, error.transient) == (Reason.START_FAILED, False)
            assert command[0] in error.message
        end = await soon(backend.wait(spec.name))
        assert end.code == code
        assert command[0] in end.start_error

    async def test_many_may_wait_at_any_time(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        spec = make_spec(instance, "exit 4", image)
        await soon(backend.prepare(spec))
        await soon(backend.create(spec, Recording()))
        before = [asyncio.create_task(backend.wait(spec.name)) for _ in range(3)]
        await soon(backend.start(spec.name))
        codes = [end.code for end in await soon(asyncio.gather(*before))]
        assert codes == [4, 4, 4]
        assert (await soon(backend.wait(spec.name))).code == 4

    async def test_a_waiter_that_is_cancelled_leaves_the_others_waiting(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        spec = make_spec(instance, "read x < /dev/zero", image)
        await begin(backend, spec)
        first, second = (asyncio.create_task(backend.wait(spec.name)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await soon(backend.kill(spec.name))
        assert (await soon(second)).code == 137

    async def test_an_unknown_agent_is_lost(self, backend: Backend, instance: str) -> None:
        end = await soon(backend.wait(f"agentainer-{instance}-unknown"))
        assert end.lost

    # -- stop, kill, remove ---------------------------------------------------------------------------

    async def test_stop_lets_the_agent_end_in_its_own_way(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
        spec = make_spec(instance, script, image)
        sink = await begin(backend, spec)
        await sink.says(b"ready\n")
        await soon(backend.stop(spec.name, PATIENCE))
        end = await soon(backend.wait(spec.name))
        assert (end.code, sink.text()) == (7, b"ready\nbye\n")

    async def test_stop_kills_what_ignores_sigterm_after_the_grace(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        spec = make_spec(instance, "trap '' TERM; echo ready; while :; do sleep 0.05; done", image)
        sink = await begin(backend, spec)
        await sink.says(b"ready\n")
        await soon(backend.stop(spec.name, 0.3))
        end = await soon(backend.wait(spec.name))
        assert (end.code, end.lost) == (137, False)

    async def test_a_kill_ends_the_grace_of_a_stop_in_progress(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        spec = make_spec(instance, "trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done", image)
        sink = await begin(backend, spec)
        await sink.says(b"ready\n")
        stopping = asyncio.create_task(backend.stop(spec.name, 3600))
        await sink.says(b"asked\n")
        await soon(backend.kill(spec.name))
        await soon(stopping)
        assert (await soon(backend.wait(spec.name))).code == 137

    async def test_stopping_what_has_ended_changes_nothing(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        spec = make_spec(instance, "exit 3", image)
        await begin(backend, spec)
        end = await soon(backend.wait(spec.name))
        await soon(backend.stop(spec.name, 10))
        await soon(backend.kill(spec.name))
        assert await soon(backend.wait(spec.name)) == end

    async def test_calls_for_what_is_gone_do_nothing(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        name = f"agentainer-{instance}-gone"
        for _ in range(2):
            await soon(backend.stop(name, 10))
            await soon(backend.kill(name))
            await soon(backend.remove(name))

    async def test_an_agent_stopped_before_its_start_never_runs(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        spec = make_spec(instance, "echo ran", image)
        sink = Recording()
        await soon(backend.prepare(spec))
        await soon(backend.create(spec, sink))
        waiting = asyncio.create_task(backend.wait(spec.name))
        await soon(backend.stop(spec.name, 10))
        assert (await soon(waiting)).code != 0
        with suppress(BackendError):
            await soon(backend.start(spec.name))
        await soon(backend.wait(spec.name))
        assert sink.text() == b""

    async def test_removing_a_running_agent_leaves_nothing(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        spec = make_spec(instance, "sleep 600", image)
        await begin(backend, spec)
        waiting = asyncio.create_task(backend.wait(spec.name))
        await asyncio.sleep(0)
        await soon(backend.remove(spec.name))
        assert (await soon(waiting)).code != 0
        assert await soon(backend.list_agents(instance)) == []
        await soon(backend.remove(spec.name))

    async def test_a_name_can_be_used_again_after_its_removal(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        first = make_spec(instance, "exit 1", image)
        await self.end_of(backend, first)
        await soon(backend.remove(first.name))
        second = make_spec(instance, "echo second", image, name=first.name)
        end, sink = await self.end_of(backend, second)
        assert (end.code, sink.text()) == (0, b"second\n")

    @pytest.mark.parametrize("delay", [0, 0.001, 0.01, 0.05])
    async def test_a_create_or_start_that_is_cancelled_in_flight_leaves_nothing_after_stop_and_remove(
        self, backend: Backend, instance: str, image: str | None, delay: float
    ) -> None:
        spec = make_spec(instance, "sleep 600", image)
        await soon(backend.prepare(spec))

        async def launch() -> None:
            await backend.create(spec, Recording())
            await backend.start(spec.name)

        launching = asyncio.create_task(launch())
        await asyncio.sleep(delay)
        launching.cancel()
        with suppress(asyncio.CancelledError):
            await launching
        await soon(backend.stop(spec.name, 0))
        await soon(backend.remove(spec.name))
        assert await soon(backend.list_agents(instance)) == []

    # -- what agents leave ----------------------------------------------------------------------------

    async def test_files_are_collected_from_an_agent_that_runs_and_from_one_that_has_ended(
        self, backend: Backend, instance: str, image: str | None, tmp_path: Path
    ) -> None:
        ended = make_spec(instance, "printf content > out.txt", image)
        running = make_spec(instance, "printf content > out.txt; echo ready; sleep 600", image)
        sink = await begin(backend, running)
        await sink.says(b"ready\n")
        await self.end_of(backend, ended)
        for number, name in enumerate((ended.name, running.name)):
            into = tmp_path / f"kept-{number}"
            assert await soon(backend.collect(name, "out.txt", into, limit=7)) == 7
            assert into.read_bytes() == b"content"
        assert sorted(path.name for path in tmp_path.glob("kept*")) == ["kept-0", "kept-1"]

    async def test_a_directory_is_collected_with_the_links_that_stay_inside(
        self, backend: Backend, instance: str, image: str | None, tmp_path: Path
    ) -> None:
        script = """
            mkdir -p out/empty out/deep/er; cd out; printf one > first; printf two > deep/er/second
            ln first deep/hard; ln -s ../first deep/soft; ln -s deep/er down; ln -s nowhere dangling
            chmod 6777 first; chmod 0555 deep/er; printf x > "$(printf 'odd \\n\\377 name')"
        """
        spec = make_spec(instance, script, image)
        end, _ = await self.end_of(backend, spec)
        assert end.code == 0
        into = tmp_path / "kept"
        # A file of two names may be counted, and copied, twice.
        assert await soon(backend.collect(spec.name, "./out/", into, limit=100)) in (7, 10)
        assert (into / "deep" / "soft").read_text() == "one"
        assert (into / "deep" / "hard").read_text() == "one"
        assert (into / "down" / "second").read_text() == "two"
        assert (into / "dangling").readlink() == Path("nowhere")
        assert list((into / "empty").iterdir()) == []
        assert (into / "first").stat().st_mode & 0o7777 == 0o755
        assert (into / "first").stat().st_uid == os.getuid()
        assert (into / "deep" / "er").stat().st_mode & 0o7777 == 0o755
        assert b"odd \n\xff name" in [os.fsencode(path.name) for path in into.iterdir()]
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    @pytest.mark.parametrize("path", ["none", "none/below", "file/below", "/no/such/place", "dangling"])
    async def test_collecting_what_is_not_there_finds_nothing(
        self, backend: Backend, instance: str, image: str | None, path: str, tmp_path: Path
    ) -> None:
        spec = make_spec(instance, "echo > file; ln -s nowhere dangling", image)
        await self.end_of(backend, spec)
        assert await soon(backend.collect(spec.name, path, tmp_path / "kept", limit=100)) is None
        assert not (tmp_path / "kept").exists()

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            ("ln -s /etc/passwd out/evil", "absolute"),
            ("ln -s ../../x out/evil", "leads out"),
            ("mkdir out/deep; ln -s .. out/deep/up; ln -s deep/up/../.. out/evil", "goes up after"),
            ("ln -s ../out/fine out/evil", "leads out"),
            ("mkfifo out/evil", "named pipe"),
            ("head -c 101 /dev/zero > out/evil", "larger than 100 bytes"),
            ("for i in 1 2 3 4 5 6; do head -c 20 /dev/zero > out/$i; done", "larger than 100 bytes"),
            ("truncate -s 1099511627776 out/evil", "larger than 100 bytes"),
            ("i=0; cd out; while [ $i -lt 101 ]; do mkdir d; cd d; i=$((i+1)); done", "100 deep"),
        ],
    )
    async def test_what_cannot_be_copied_safely_is_refused_and_leaves_nothing(
        self, backend: Backend, instance: str, image: str | None, script: str, words: str, tmp_path: Path
    ) -> None:
        spec = make_spec(instance, f"mkdir out; echo > out/fine; {script}", image)
        end, sink = await self.end_of(backend, spec)
        assert end.code == 0, sink.text("stderr")
        place = tmp_path / "place"
        place.mkdir()
        with pytest.raises(BackendError, match=words) as caught:
            await soon(backend.collect(spec.name, "out", place / "kept", limit=100))
        assert (caught.value.reason, caught.value.transient) == (Reason.BAD_RESULT, False)
        assert list(place.iterdir()) == []

    async def test_nothing_can_be_collected_from_an_agent_that_is_gone(
        self, backend: Backend, instance: str, image: str | None, tmp_path: Path
    ) -> None:
        spec = make_spec(instance, "echo > out", image)
        await self.end_of(backend, spec)
        await soon(backend.remove(spec.name))
        with pytest.raises(BackendError, match="gone") as caught:
            await soon(backend.collect(spec.name, "out", tmp_path / "kept", limit=100))
        assert caught.value.reason is Reason.LOST

    async def test_a_task_starts_in_the_working_directory_that_the_step_names(
        self, backend: Backend, instance: str, image: str | None, tmp_path: Path
    ) -> None:
        place = tmp_path / "work ing"
        place.mkdir()
        spec = make_spec(instance, "pwd; echo made > here", image, working_dir=str(place))
        _, sink = await self.end_of(backend, spec)
        assert sink.text().decode() == f"{place}\n"
        assert await soon(backend.collect(spec.name, "here", tmp_path / "kept", limit=100)) == 5

    # -- what it uses ---------------------------------------------------------------------------------

    async def test_an_agent_that_works_is_seen_to_work_until_it_ends(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        spec = make_spec(instance, "echo ready; while :; do :; done", image)
        sink = await begin(backend, spec)
        await sink.says(b"ready\n")
        seen: list[Sample] = []

        async def watch() -> None:
            async with aclosing(backend.samples(spec.name)) as samples:
                async for sample in samples:
                    seen.append(sample)
                    if len(seen) == 3:
                        await backend.kill(spec.name)

        await soon(watch())
        assert len(seen) >= 3
        cpu = [sample.cpu_seconds for sample in seen]
        assert cpu[0] < cpu[1] < cpu[2]
        passed = (seen[2].time - seen[0].time).total_seconds()
        assert cpu[2] - cpu[0] <= passed * 1.5, "one shell keeps no more than one CPU busy"
        assert all(0 < sample.memory < 1 << 30 for sample in seen)
        assert all(sample.pids and sample.pids >= 1 for sample in seen[:3])
        assert await soon(backend.sample(spec.name)) is None

    async def test_several_watchers_and_a_single_look_see_the_same_agent(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        spec = make_spec(instance, "echo ready; while :; do :; done", image)
        sink = await begin(backend, spec)
        await sink.says(b"ready\n")

        async def two() -> list[Sample]:
            async with aclosing(backend.samples(spec.name)) as samples:
                return [await anext(samples), await anext(samples)]

        first, second, look = await soon(asyncio.gather(two(), two(), backend.sample(spec.name)))
        for found in (first, second):
            assert found[0].cpu_seconds < found[1].cpu_seconds
        assert look is not None and look.memory > 0
        await soon(backend.kill(spec.name))

    async def test_of_what_does_not_run_nothing_is_seen(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        ended = make_spec(instance, "true", image)
        await self.end_of(backend, ended)
        created = make_spec(instance, "true", image)
        await soon(backend.create(created, Recording()))
        for name in (ended.name, created.name, f"agentainer-{instance}-never"):
            assert await soon(backend.sample(name)) is None
            assert [sample async for sample in backend.samples(name)] == []
            backend.listen(name, lambda notice: None)

    # -- being found ----------------------------------------------------------------------------------

    async def test_creating_twice_makes_one_agent(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        spec = make_spec(instance, "echo once", image)
        unheard, heard = Recording(), Recording()
        await soon(backend.prepare(spec))
        first = await soon(backend.create(spec, unheard))
        second = await soon(backend.create(spec, heard))
        assert first == second
        await soon(backend.start(spec.name))
        await soon(backend.start(spec.name))
        assert (await soon(backend.wait(spec.name))).code == 0
        assert heard.text() == b"once\n"
        assert [agent.name for agent in await soon(backend.list_agents(instance))] == [spec.name]

    async def test_agents_are_listed_with_whom_they_serve_and_where_they_stand(
        self, backend: Backend, instance: str, image: str | None
    ) -> None:
        created = make_spec(instance, "true", image, item=3)
        running = make_spec(instance, "sleep 600", image)
        exited = make_spec(instance, "exit 5", image)
        await soon(backend.create(created, Recording()))
        await begin(backend, running)
        await self.end_of(backend, exited)
        agents = {agent.name: agent for agent in await soon(backend.list_agents(instance))}
        assert set(agents) == {created.name, running.name, exited.name}
        assert agents[created.name].phase is AgentPhase.CREATED
        assert agents[created.name].identity == created.identity
        assert agents[running.name].phase is AgentPhase.RUNNING
        assert agents[exited.name].phase is AgentPhase.EXITED
        assert agents[exited.name].exit_code == 5
        assert agents[exited.name].identity == exited.identity
        assert await soon(backend.list_agents("another-home")) == []

    @pytest.mark.parametrize("name", ["../escape", "a/b", "", "-rm", "x" * 200, "a\0b", "a\nb"])
    async def test_what_cannot_be_a_name_is_refused(
        self, backend: Backend, instance: str, image: str | None, name: str
    ) -> None:
        spec = make_spec(instance, "true", image, name=name)
        with pytest.raises(BackendError):
            await soon(backend.create(spec, Recording()))
        with pytest.raises(BackendError):
            await soon(backend.remove(name))
