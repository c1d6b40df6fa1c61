"""What is particular to agents that are local processes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.agents.backend import AgentPhase
from engine.agents.process import ProcessBackend
from engine.agents.process_records import Records, birth_of, marked
from engine.errors import BackendError, Reason, UnavailableError
from tests.backend_contract import PATIENCE, Recording, begin, make_spec, soon

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the environment of processes")


@pytest.fixture
async def backend(tmp_path: Path, instance: str) -> AsyncIterator[ProcessBackend]:
    backend = ProcessBackend(home=tmp_path, instance=instance)
    await backend.open()
    yield backend
    for agent in await backend.list_agents():
        await backend.remove(agent.name)
    await backend.close()


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    async with asyncio.timeout(PATIENCE):
        while birth_of(pid):
            await asyncio.sleep(0.01)


# -- surroundings -----------------------------------------------------------------------------------------


async def test_a_task_sees_what_it_is_promised_and_nothing_else_of_the_engine(
    backend: ProcessBackend, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_ENGINE", "x")
    spec = make_spec(instance, ("env",), None, env={"TASK_ID": "t", "PATH": os.environ["PATH"] + ":/own"})
    sink = await begin(backend, spec)
    await soon(backend.wait(spec.name))
    seen = dict(line.split("=", 1) for line in sink.text().decode().splitlines())
    assert seen["TASK_ID"] == "t"
    assert seen["PATH"].endswith(":/own")
    assert seen["HOME"] == os.environ["HOME"]
    assert "SECRET_OF_THE_ENGINE" not in seen


async def test_each_task_works_in_a_fresh_directory_that_goes_with_it(
    backend: ProcessBackend, instance: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    script = f"pwd; ls -A | wc -l; mkdir -p a/b; echo x > a/b/c; chmod 0 a/b a; ln -s {outside} link"
    spec = make_spec(instance, script, None)
    sink = await begin(backend, spec)
    await soon(backend.wait(spec.name))
    place, count = sink.text().decode().split()
    assert (Path(place), int(count)) == (tmp_path / "work" / spec.name, 0)
    await soon(backend.remove(spec.name))
    assert list((tmp_path / "work").iterdir()) == []
    assert (outside / "kept").read_text() == "kept"


async def test_an_environment_too_long_for_the_system_is_refused(
    backend: ProcessBackend, instance: str
) -> None:
    spec = make_spec(instance, "true", None, env={"BIG": "x" * (16 << 20)})
    with pytest.raises(BackendError, match="too long") as caught:
        await begin(backend, spec)
    assert (caught.value.reason, caught.value.transient) == (Reason.INPUT_ERROR, False)


@pytest.mark.parametrize("command", [None, "", (), ("",), ("a\0b",)])
async def test_a_process_needs_a_command(
    backend: ProcessBackend, instance: str, command: str | tuple[str, ...] | None
) -> None:
    with pytest.raises(BackendError, match="command") as caught:
        await soon(backend.prepare(make_spec(instance, command, "some/image")))
    assert (caught.value.reason, caught.value.transient) == (Reason.INPUT_ERROR, False)


async def test_a_home_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot work"):
        await ProcessBackend(home=tmp_path / "file", instance="x").open()


async def test_facts_say_that_limits_are_not_enforced(tmp_path: Path) -> None:
    facts = await ProcessBackend(home=tmp_path, instance="x").open()
    assert not facts.enforces_limits
    assert facts.gateway is None
    assert facts.cpus > 0 and facts.memory_bytes > 0


# -- descendants ------------------------------------------------------------------------------------------


async def test_a_child_that_keeps_the_output_open_neither_holds_up_the_end_nor_survives_it(
    backend: ProcessBackend, instance: str
) -> None:
    spec = make_spec(instance, "sleep 600 & echo $!", None)
    sink = await begin(backend, spec)
    end = await soon(backend.wait(spec.name))
    assert end.code == 0
    await gone(int(sink.text()))


@linux
@pytest.mark.parametrize("output", ["", ">/dev/null 2>&1"])
async def test_a_descendant_that_left_the_group_does_not_survive_the_end(
    backend: ProcessBackend, instance: str, output: str
) -> None:
    spec = make_spec(instance, f"setsid sleep 600 {output} & echo done", None)
    await begin(backend, spec)
    assert (await soon(backend.wait(spec.name))).code == 0
    await soon(backend.remove(spec.name))
    assert marked([f"{instance}/{spec.name}"]) == {}


@linux
async def test_kill_ends_the_whole_family(backend: ProcessBackend, instance: str) -> None:
    script = "setsid sh -c 'sleep 600 & sleep 600' & sleep 600 & echo ready; wait"
    spec = make_spec(instance, script, None)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    await soon(backend.kill(spec.name))
    assert marked([f"{instance}/{spec.name}"]) == {}
    assert (await soon(backend.wait(spec.name))).code == 137


async def test_stop_asks_the_whole_group(backend: ProcessBackend, instance: str) -> None:
    script = (
        "sh -c 'trap \"echo child asked; exit\" TERM; echo ready; while :; do sleep 0.02; done' & wait; wait"
    )
    spec = make_spec(instance, f"trap : TERM; {script}", None)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    await soon(backend.stop(spec.name, 50))
    assert b"child asked\n" in sink.text()


async def test_the_end_is_noticed_without_process_descriptors(
    backend: ProcessBackend, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(pid: int, flags: int = 0) -> int:
        raise OSError

    monkeypatch.setattr(os, "pidfd_open", missing, raising=False)
    spec = make_spec(instance, "echo hello; exit 4", None)
    sink = await begin(backend, spec)
    assert (await soon(backend.wait(spec.name))).code == 4
    assert sink.text() == b"hello\n"
    killed = make_spec(instance, "sleep 600 & sleep 600", None)
    await begin(backend, killed)
    await soon(backend.kill(killed.name))
    assert (await soon(backend.wait(killed.name))).code == 137


# -- after a crash ----------------------------------------------------------------------------------------

_ENGINE = """
import asyncio, os, sys
from pathlib import Path
from engine.agents.process import ProcessBackend
from tests.backend_contract import Recording, make_spec

async def main():
    backend = ProcessBackend(home=Path(sys.argv[1]), instance=sys.argv[2])
    await backend.open()
    spec = make_spec(sys.argv[2], sys.argv[3], None, name="orphan")
    sink = Recording()
    await backend.create(spec, sink)
    await backend.start(spec.name)
    await sink.says(b"ready\\n")
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.fixture
def orphan(tmp_path: Path, instance: str) -> str:
    """An agent whose engine was killed: its name. It ignores SIGTERM, and has a child in another session."""
    script = "trap '' TERM; setsid sleep 600 >/dev/null 2>&1 & echo ready; while :; do sleep 0.05; done"
    engine = subprocess.run(
        [sys.executable, "-c", _ENGINE, str(tmp_path), instance, script],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=False,
    )
    assert engine.returncode == -signal.SIGKILL
    return "orphan"


async def test_an_orphan_is_listed_and_cannot_be_waited_for(
    orphan: str, backend: ProcessBackend, instance: str
) -> None:
    (listed,) = await soon(backend.list_agents(instance))
    assert (listed.name, listed.phase) == (orphan, AgentPhase.RUNNING)
    assert listed.identity.instance == instance
    assert listed.identity.step_id == "step"
    info = await soon(backend.adopt(orphan, Recording()))
    assert info is not None and info.phase is AgentPhase.RUNNING
    await soon(backend.start(orphan))
    assert (await soon(backend.wait(orphan))).lost


@pytest.mark.parametrize("how", ["stop", "kill", "remove"])
async def test_an_orphan_is_ended_by_name_with_its_family(
    orphan: str, backend: ProcessBackend, instance: str, how: str
) -> None:
    record = Records(backend._records.root.parent).read(orphan)
    assert record is not None and record.pid is not None
    if how == "stop":
        await soon(backend.stop(orphan, 0.2))
    elif how == "kill":
        await soon(backend.kill(orphan))
    else:
        await soon(backend.remove(orphan))
        assert await soon(backend.list_agents(instance)) == []
    await gone(record.pid)
    assert marked([record.marker]) == {}


async def test_creating_under_the_name_of_an_orphan_ends_it_first(
    orphan: str, backend: ProcessBackend, instance: str
) -> None:
    record = Records(backend._records.root.parent).read(orphan)
    assert record is not None and record.pid is not None
    spec = make_spec(instance, "echo new", None, name=orphan)
    sink = await begin(backend, spec)
    assert (await soon(backend.wait(orphan))).code == 0
    assert sink.text() == b"new\n"
    await gone(record.pid)


async def test_a_later_process_with_the_same_id_is_not_taken_for_the_orphan(
    backend: ProcessBackend, instance: str, tmp_path: Path
) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        spec = make_spec(instance, "true", None)
        await soon(backend.create(spec, Recording()))
        await backend.close()
        Records(tmp_path).note(spec.name, pid=stranger.pid, birth="another boot/1")
        later = ProcessBackend(home=tmp_path, instance=instance)
        await later.open()
        (listed,) = await soon(later.list_agents())
        assert listed.phase is AgentPhase.EXITED
        await soon(later.stop(spec.name, 1))
        await soon(later.remove(spec.name))
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.skipif(shutil.which("ps") is None, reason="systems without /proc have ps")
async def test_without_proc_an_orphan_is_recognised_by_what_ps_says(
    backend: ProcessBackend, instance: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    spec = make_spec(instance, "trap '' TERM PIPE; echo ready; while :; do sleep 0.05; done", None)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    await backend.close()
    later = ProcessBackend(home=tmp_path, instance=instance)
    await later.open()
    (listed,) = await soon(later.list_agents())
    assert listed.phase is AgentPhase.RUNNING
    pid = int(listed.agent_id)
    await soon(later.stop(spec.name, 0.1))
    monkeypatch.undo()
    await gone(pid)
    await soon(later.remove(spec.name))


async def test_agents_run_on_when_their_engine_lets_go(
    backend: ProcessBackend, instance: str, tmp_path: Path
) -> None:
    spec = make_spec(instance, "trap '' PIPE; echo ready; while :; do sleep 0.05; done", None)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    await backend.close()
    later = ProcessBackend(home=tmp_path, instance=instance)
    await later.open()
    (listed,) = await soon(later.list_agents())
    assert listed.phase is AgentPhase.RUNNING
    await soon(later.remove(spec.name))


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"name": 1}\n', "\x00\x01", '{"identity": {}}\n'])
async def test_a_damaged_record_is_passed_over(
    backend: ProcessBackend, instance: str, tmp_path: Path, damage: str
) -> None:
    (tmp_path / "work" / "damaged.jsonl").write_text(damage)
    assert await soon(backend.list_agents()) == []
    await soon(backend.remove("damaged"))
    assert list((tmp_path / "work").iterdir()) == []


async def test_a_record_cut_off_in_its_last_line_is_read_up_to_it(
    backend: ProcessBackend, instance: str, tmp_path: Path
) -> None:
    spec = make_spec(instance, "exit 5", None)
    await begin(backend, spec)
    await soon(backend.wait(spec.name))
    file = tmp_path / "work" / f"{spec.name}.jsonl"
    lines = file.read_text().splitlines()
    assert json.loads(lines[-1]) == {"exit_code": 5}
    file.write_text("\n".join(lines)[:-3])
    record = Records(tmp_path).read(spec.name)
    assert record is not None
    assert record.pid is not None and record.exit_code is None


async def test_a_kept_directory_can_be_entered(backend: ProcessBackend, instance: str) -> None:
    spec = make_spec(instance, "echo here > kept", None)
    await begin(backend, spec)
    await soon(backend.wait(spec.name))
    shell = await soon(backend.open_shell(spec.name))
    typed = await asyncio.to_thread(
        subprocess.run, shell.argv, input=b"cat kept\n", capture_output=True, timeout=PATIENCE
    )
    assert b"here" in typed.stdout
    asked = await soon(backend.open_shell(spec.name, "cat kept; exit 4", tty=False))
    ended = await asyncio.to_thread(subprocess.run, asked.argv, capture_output=True, timeout=PATIENCE)
    assert (ended.returncode, ended.stdout) == (4, b"here\n")
    with pytest.raises(BackendError, match="is gone"):
        await soon(backend.open_shell("nothing"))
