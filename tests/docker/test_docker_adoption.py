"""Containers outlive the engine that started them; the next one takes them over."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.agents import docker_spec
from engine.agents.backend import AgentPhase
from engine.agents.docker import DockerBackend
from tests.backend_contract import Recording, begin, make_spec, soon

pytestmark = pytest.mark.docker

_COUNT = "for i in $(seq 1 300); do echo line $i; echo err $i >&2; sleep 0.01; done; exit 6"


@pytest.fixture
def image(busybox_image: str) -> str:
    return busybox_image


@pytest.fixture
async def later(instance: str) -> AsyncIterator[DockerBackend]:
    """The backend of the next engine on the same home."""
    backend = DockerBackend(instance=instance, max_starts=4)
    await backend.open()
    yield backend
    await backend.close()


async def test_a_running_container_is_read_from_its_beginning_without_gaps_or_repetitions(
    backend: DockerBackend, later: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, _COUNT, image)
    before = await begin(backend, spec)
    await before.says(b"line 20\n")
    await backend.close()

    sink = Recording()
    info = await soon(later.adopt(spec.name, sink))
    assert info is not None
    assert (info.phase, info.identity, info.image) == (AgentPhase.RUNNING, spec.identity, image)
    await soon(later.start(spec.name))
    end = await soon(later.wait(spec.name))
    assert (end.code, end.lost) == (6, False)
    assert sink.text("stdout").decode() == "".join(f"line {i}\n" for i in range(1, 301))
    assert sink.text("stderr").decode() == "".join(f"err {i}\n" for i in range(1, 301))
    for stream in ("stdout", "stderr"):
        times = [time for name, _, time in sink.parts if name == stream]
        known = [time for time in times if time is not None]
        assert len(known) == len(times) == 300
        assert known == sorted(known)
        assert known[0] < known[-1]


async def test_a_container_that_exited_meanwhile_is_finalised_with_all_its_output(
    backend: DockerBackend, later: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "echo out; echo err >&2; exit 3", image)
    await begin(backend, spec)
    await soon(backend.wait(spec.name))
    await backend.close()

    sink = Recording()
    info = await soon(later.adopt(spec.name, sink))
    assert info is not None
    assert (info.phase, info.exit_code) == (AgentPhase.EXITED, 3)
    await soon(later.start(spec.name))
    end = await soon(later.wait(spec.name))
    assert (end.code, sink.text("stdout"), sink.text("stderr")) == (3, b"out\n", b"err\n")
    await soon(later.stop(spec.name, 10))
    await soon(later.remove(spec.name))
    assert await soon(later.list_agents(instance)) == []


async def test_a_container_that_was_never_started_is_attached_to_and_started(
    backend: DockerBackend, later: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "echo late", image)
    await soon(backend.create(spec, Recording()))
    await backend.close()

    sink = Recording()
    info = await soon(later.adopt(spec.name, sink))
    assert info is not None and info.phase is AgentPhase.CREATED
    await soon(later.start(spec.name))
    assert (await soon(later.wait(spec.name))).code == 0
    assert sink.text() == b"late\n"


async def test_creating_what_an_earlier_engine_created_adopts_it(
    backend: DockerBackend, later: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "echo once; sleep 600", image)
    first = await soon(backend.create(spec, Recording()))
    await soon(backend.start(spec.name))
    await backend.close()

    sink = Recording()
    assert await soon(later.create(spec, sink)) == first
    await soon(later.start(spec.name))
    await sink.says(b"once\n")
    await soon(later.kill(spec.name))
    assert (await soon(later.wait(spec.name))).code == 137


async def test_what_is_gone_cannot_be_adopted(later: DockerBackend, instance: str) -> None:
    assert await soon(later.adopt(f"agentainer-{instance}-gone", Recording())) is None


async def test_containers_of_an_earlier_engine_are_stopped_and_removed_by_name(
    backend: DockerBackend, later: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done", image)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    await backend.close()
    await soon(later.stop(spec.name, 50))
    assert (await soon(later.wait(spec.name))).code == 7
    await soon(later.remove(spec.name))
    assert await soon(later.list_agents(instance)) == []


async def test_long_lines_and_bytes_come_back_from_the_log_as_they_were(
    backend: DockerBackend, later: DockerBackend, instance: str, image: str
) -> None:
    script = "yes 0123456789abcde | tr -d '\\n' | head -c 300000; printf '\\n\\200\\377\\n no newline'"
    spec = make_spec(instance, script, image)
    before = await begin(backend, spec)
    await soon(backend.wait(spec.name))
    sink = Recording()
    await soon(later.adopt(spec.name, sink))
    await soon(later.wait(spec.name))
    # The engine's log files are JSON: bytes that are not UTF-8 do not survive in them.
    assert sink.text() == before.text().replace(b"\200\377", "\ufffd\ufffd".encode())


async def test_nothing_is_missing_of_a_log_that_was_rotated_while_it_was_read(
    backend: DockerBackend, later: DockerBackend, instance: str, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(docker_spec._LOG_CONFIG, "Config", {"max-size": "200k", "max-file": "50"})
    script = "i=0; while [ $i -lt 40 ]; do seq 1 1000; i=$((i+1)); sleep 0.02; done"
    spec = make_spec(instance, script, image)
    before = await begin(backend, spec)
    await before.says(b"\n500\n")
    await backend.close()

    sink = Recording()
    await soon(later.adopt(spec.name, sink))
    await soon(later.wait(spec.name))
    assert sink.text().decode() == "".join(f"{number}\n" for number in range(1, 1001)) * 40
