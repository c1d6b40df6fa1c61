"""Collecting from local processes, which could read everything, and from agents in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.agents.backend import Mount, PullPolicy
from engine.agents.memory import MemoryBackend, Script
from engine.agents.process import ProcessBackend
from engine.errors import BackendError, Reason
from tests.backend_contract import Recording, begin, make_spec, soon


@pytest.fixture
async def backend(tmp_path: Path, instance: str) -> AsyncIterator[ProcessBackend]:
    backend = ProcessBackend(home=tmp_path / "home", instance=instance)
    await backend.open()
    yield backend
    for agent in await backend.list_agents():
        await backend.remove(agent.name)
    await backend.close()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    place = tmp_path / "outside"
    place.mkdir()
    (place / "file").write_text("private")
    return place


@pytest.mark.parametrize(
    "path", ["{}", "{}/file", "link", "link/file", "file", "../../../outside/file", "/etc/passwd"]
)
async def test_what_lies_outside_of_the_working_directory_is_refused_however_it_is_reached(
    backend: ProcessBackend, instance: str, outside: Path, path: str, tmp_path: Path
) -> None:
    spec = make_spec(instance, f"ln -s {outside} link; ln -s {outside}/file file", None)
    await begin(backend, spec)
    await soon(backend.wait(spec.name))
    with pytest.raises(BackendError, match="outside of its working directory") as caught:
        await soon(backend.collect(spec.name, path.format(outside), tmp_path / "kept", limit=100))
    assert (caught.value.reason, caught.value.transient) == (Reason.BAD_RESULT, False)
    assert not (tmp_path / "kept").exists()


async def test_a_link_at_the_path_is_followed_within_the_working_directory(
    backend: ProcessBackend, instance: str, tmp_path: Path
) -> None:
    spec = make_spec(instance, "mkdir v1; echo one > v1/file; ln -s v1 latest; ln -s circle circle", None)
    await begin(backend, spec)
    await soon(backend.wait(spec.name))
    assert await soon(backend.collect(spec.name, "latest", tmp_path / "kept", limit=100)) == 4
    assert (tmp_path / "kept" / "file").read_text() == "one\n"
    assert await soon(backend.collect(spec.name, "circle", tmp_path / "none", limit=100)) is None


async def test_a_task_with_a_working_directory_may_leave_things_there_and_in_its_own(
    backend: ProcessBackend, instance: str, outside: Path, tmp_path: Path
) -> None:
    name = f"agentainer-{instance}-own"
    there = tmp_path / "home" / "work" / name / "there"
    script = f"echo x > here; echo xy > {there}"
    spec = make_spec(instance, script, None, name=name, working_dir=str(outside))
    await begin(backend, spec)
    assert (await soon(backend.wait(name))).code == 0
    assert await soon(backend.collect(name, "here", tmp_path / "a", limit=100)) == 2
    assert await soon(backend.collect(name, str(there), tmp_path / "b", limit=100)) == 3
    await soon(backend.remove(spec.name))
    assert (outside / "here").read_text() == "x\n"


async def test_a_working_directory_that_is_not_there_is_the_step_s_mistake(
    backend: ProcessBackend, instance: str, tmp_path: Path
) -> None:
    spec = make_spec(instance, "true", None, working_dir=str(tmp_path / "none"))
    with pytest.raises(BackendError, match="none") as caught:
        await begin(backend, spec)
    assert (caught.value.reason, caught.value.transient) == (Reason.INPUT_ERROR, False)


async def test_nothing_can_be_mounted_into_a_process(
    backend: ProcessBackend, instance: str, outside: Path
) -> None:
    spec = make_spec(instance, "true", None, mounts=(Mount(str(outside), "/in"),))
    with pytest.raises(BackendError, match="volumes") as caught:
        await begin(backend, spec)
    assert caught.value.reason is Reason.INPUT_ERROR


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
async def test_what_the_task_made_unreadable_is_refused(
    backend: ProcessBackend, instance: str, tmp_path: Path
) -> None:
    spec = make_spec(instance, "mkdir out; echo > out/file; chmod 0 out/file", None)
    await begin(backend, spec)
    await soon(backend.wait(spec.name))
    with pytest.raises(BackendError, match="permission denied") as caught:
        await soon(backend.collect(spec.name, "out", tmp_path / "kept", limit=100))
    assert caught.value.reason is Reason.BAD_RESULT


async def test_an_agent_in_memory_leaves_what_its_script_says(instance: str, tmp_path: Path) -> None:
    files = {"out/a": b"one", "out/deep/b": b"three", "single": b"x"}
    backend = MemoryBackend(lambda spec: Script(files=files))
    spec = make_spec(instance, "task", "image")
    await backend.create(spec, Recording())
    assert await backend.collect(spec.name, "out", tmp_path / "early", limit=100) is None
    await backend.start(spec.name)
    await backend.wait(spec.name)
    assert await backend.collect(spec.name, "./out/", tmp_path / "out", limit=8) == 8
    assert (tmp_path / "out" / "deep" / "b").read_bytes() == b"three"
    assert await backend.collect(spec.name, "single", tmp_path / "single", limit=8) == 1
    assert await backend.collect(spec.name, "none", tmp_path / "none", limit=8) is None
    with pytest.raises(BackendError, match="larger than 7") as caught:
        await backend.collect(spec.name, "out", tmp_path / "large", limit=7)
    assert caught.value.reason is Reason.BAD_RESULT
    backend.digests["image"] = "sha256:1"
    assert await backend.image_digest("image", PullPolicy.MISSING) == "sha256:1"
