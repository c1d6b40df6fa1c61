"""What containers find around them: mounts, users, directories, rights and networks."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec, Mount, PullPolicy
from engine.agents.docker import DockerBackend
from engine.errors import BackendError, Reason
from tests import docker_images
from tests.backend_contract import Recording, begin, make_spec, soon

pytestmark = pytest.mark.docker


@pytest.fixture
def image(busybox_image: str) -> str:
    return busybox_image


@pytest.fixture
def volume(instance: str) -> Iterator[str]:
    name = f"agentainer-test-{secrets.token_hex(6)}"
    yield name
    docker_images.remove_containers_of(instance)
    docker_images.client().remove_volume(name, force=True)


@pytest.fixture
async def network() -> AsyncIterator[str]:
    name = f"agentainer-test-{secrets.token_hex(6)}"
    client = docker_images.client()
    made = client.create_network(name)
    yield name
    for container in client.inspect_network(made["Id"])["Containers"]:
        client.remove_container(container, force=True)
    client.remove_network(made["Id"])


async def output_of(backend: DockerBackend, spec: AgentSpec) -> str:
    sink = await begin(backend, spec)
    end = await soon(backend.wait(spec.name))
    assert end.code == 0, sink.text("stderr")
    return sink.text().decode()


async def refusal_of(backend: DockerBackend, spec: AgentSpec) -> str:
    with pytest.raises(BackendError) as caught:
        await begin(backend, spec)
    assert (caught.value.reason, caught.value.transient) == (Reason.INPUT_ERROR, False)
    await soon(backend.remove(spec.name))
    return str(caught.value)


def inspected(spec: AgentSpec) -> dict[str, Any]:
    found: dict[str, Any] = docker_images.client().inspect_container(spec.name)
    return found


# -- mounts -----------------------------------------------------------------------------------------------


async def test_a_host_path_is_mounted_for_reading_and_writing_or_for_reading_only(
    backend: DockerBackend, instance: str, image: str, tmp_path: Path
) -> None:
    source = tmp_path / "odd: name, with=commas"
    source.mkdir()
    (source / "given").write_text("given\n")
    mounts = (Mount(str(source), "/rw"), Mount(str(source), "/ro", read_only=True))
    script = "cat /ro/given; echo made > /rw/made; cat /ro/made; echo x 2>&1 > /ro/x || echo refused"
    told = await output_of(backend, make_spec(instance, script, image, mounts=mounts))
    assert told.splitlines()[0:2] == ["given", "made"] and told.splitlines()[-1] == "refused"
    assert {path.name for path in source.iterdir()} == {"given", "made"}


async def test_a_single_file_is_mounted(
    backend: DockerBackend, instance: str, image: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("content")
    spec = make_spec(instance, "cat /in/file", image, mounts=(Mount(str(tmp_path / "file"), "/in/file"),))
    assert await output_of(backend, spec) == "content"


async def test_a_source_that_is_not_there_is_told_and_not_made(
    backend: DockerBackend, instance: str, image: str, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    spec = make_spec(instance, "true", image, mounts=(Mount(str(missing), "/in"),))
    assert str(missing) in await refusal_of(backend, spec)
    assert not missing.exists()


async def test_a_file_cannot_take_the_place_of_a_directory(
    backend: DockerBackend, instance: str, image: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    spec = make_spec(instance, "true", image, mounts=(Mount(str(tmp_path / "file"), "/bin"),))
    assert "volumes" in await refusal_of(backend, spec)


async def test_a_named_volume_is_labelled_and_outlives_its_agents(
    backend: DockerBackend, instance: str, image: str, volume: str
) -> None:
    mounts = (Mount(volume, "/cache", named=True),)
    writing = make_spec(instance, "echo kept > /cache/file", image, mounts=mounts)
    await output_of(backend, writing)
    await soon(backend.remove(writing.name))
    reading = make_spec(instance, "cat /cache/file", image, mounts=mounts)
    assert await output_of(backend, reading) == "kept\n"
    await soon(backend.remove(reading.name))
    assert docker_images.client().inspect_volume(volume)["Labels"] == {"agentainer.volume": "1"}


async def test_a_volume_that_somebody_made_is_used_as_it_is(
    backend: DockerBackend, instance: str, image: str, volume: str
) -> None:
    docker_images.client().create_volume(volume, labels={"mine": "yes"})
    spec = make_spec(instance, "echo > /cache/file", image, mounts=(Mount(volume, "/cache", named=True),))
    await output_of(backend, spec)
    assert docker_images.client().inspect_volume(volume)["Labels"] == {"mine": "yes"}


@pytest.mark.parametrize("name", ["a/b", "../x", "/etc", "x:y", "-rf"])
async def test_what_is_no_name_of_a_volume_never_becomes_a_path(
    backend: DockerBackend, instance: str, image: str, name: str
) -> None:
    spec = make_spec(instance, "true", image, mounts=(Mount(name, "/in", named=True),))
    await refusal_of(backend, spec)


# -- users, directories, rights ---------------------------------------------------------------------------


async def test_a_task_runs_as_the_user_and_in_the_directory_that_the_step_names(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "id -u; id -g; pwd", image, user="1234:5678", working_dir="/made/here")
    assert (await output_of(backend, spec)).split() == ["1234", "5678", "/made/here"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"user": "nosuch"}, "nosuch"),
        ({"user": "0:nosuch"}, "nosuch"),
        ({"user": "5000000000"}, "correct `user`"),
        ({"working_dir": "relative"}, "relative"),
        ({"working_dir": "/etc/passwd"}, "correct `working_dir`"),
    ],
)
async def test_a_user_or_directory_that_cannot_be_is_the_step_s_mistake(
    backend: DockerBackend, instance: str, image: str, changes: dict[str, Any], words: str
) -> None:
    assert words in await refusal_of(backend, make_spec(instance, "true", image, **changes))


async def test_only_a_privileged_container_has_all_rights(
    backend: DockerBackend, instance: str, image: str
) -> None:
    plain, privileged = (
        make_spec(instance, "true", image, privileged=all_rights) for all_rights in (False, True)
    )
    for spec in (plain, privileged):
        await soon(backend.prepare(spec))
        await soon(
            backend.create(spec, Recording())
        )  # not started: an engine in a container cannot give them
    assert not inspected(plain)["HostConfig"]["Privileged"]
    assert "no-new-privileges" in inspected(plain)["HostConfig"]["SecurityOpt"]
    assert inspected(privileged)["HostConfig"]["Privileged"]
    assert "no-new-privileges" not in (inspected(privileged)["HostConfig"]["SecurityOpt"] or ())


# -- networks ---------------------------------------------------------------------------------------------


async def test_a_named_network_is_joined_besides_ours(
    backend: DockerBackend, instance: str, image: str, network: str
) -> None:
    spec = make_spec(instance, "ls /sys/class/net | grep -c eth", image, network=network)
    assert await output_of(backend, spec) == "2\n"
    found = inspected(spec)
    assert set(found["NetworkSettings"]["Networks"]) == {"agentainer-network", network}
    assert found["Config"]["Labels"]["agentainer.joins"] == network


async def test_naming_our_own_network_is_the_default(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "ls /sys/class/net | grep -c eth", image, network="agentainer-network")
    assert await output_of(backend, spec) == "1\n"


async def test_a_network_that_is_not_there_is_told_with_those_that_are(
    backend: DockerBackend, instance: str, image: str, network: str
) -> None:
    told = await refusal_of(backend, make_spec(instance, "true", image, network="no-such-network"))
    assert "no-such-network" in told and network in told and "agentainer-network" in told


async def test_a_network_that_vanishes_before_the_start_is_told(
    backend: DockerBackend, instance: str, image: str
) -> None:
    name = f"agentainer-test-{secrets.token_hex(6)}"
    client = docker_images.client()
    made = client.create_network(name)
    spec = make_spec(instance, "true", image, network=name)
    await soon(backend.prepare(spec))
    await soon(backend.create(spec, Recording()))
    client.remove_network(made["Id"])
    with pytest.raises(BackendError, match="no Docker network") as caught:
        await soon(backend.start(spec.name))
    assert (caught.value.reason, caught.value.transient) == (Reason.INPUT_ERROR, False)


async def test_an_engine_that_takes_a_container_over_before_its_start_joins_the_network_for_it(
    backend: DockerBackend, instance: str, image: str, network: str
) -> None:
    spec = make_spec(instance, "ls /sys/class/net | grep -c eth", image, network=network)
    await soon(backend.prepare(spec))
    await soon(backend.create(spec, Recording()))
    await backend.close()
    again = DockerBackend(instance=instance)
    await again.open()
    try:
        sink = Recording()
        assert await soon(again.adopt(spec.name, sink)) is not None
        await soon(again.start(spec.name))
        assert (await soon(again.wait(spec.name))).code == 0
        assert sink.text() == b"2\n"
    finally:
        await again.close()


async def test_a_container_on_the_machine_s_network_keeps_its_name_and_reaches_what_listens_on_our_gateway(
    instance: str, image: str
) -> None:
    backend = DockerBackend(instance=instance)
    facts = await backend.open()
    try:
        assert facts.gateway is not None

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, facts.gateway, 0)
        port = server.sockets[0].getsockname()[1]
        script = f"hostname; readlink /proc/self/ns/net; nc {facts.gateway} {port}"
        spec = make_spec(instance, script, image, network="host")
        told = (await output_of(backend, spec)).splitlines()
        server.close()
        assert told == [spec.name, str(Path("/proc/self/ns/net").readlink()), "hello"]
    finally:
        await backend.close()


# -- images -----------------------------------------------------------------------------------------------


async def test_the_digest_of_an_image_follows_its_name_when_that_moves(
    backend: DockerBackend, image: str, python_image: str
) -> None:
    client = docker_images.client()
    tag = f"t{secrets.token_hex(6)}"
    moving = f"agentainer-test/moving:{tag}"
    try:
        client.tag(image, "agentainer-test/moving", tag)
        first = await soon(backend.image_digest(moving, PullPolicy.MISSING))
        assert first == await soon(backend.image_digest(image, PullPolicy.NEVER))
        client.tag(python_image, "agentainer-test/moving", tag)
        second = await soon(backend.image_digest(moving, PullPolicy.MISSING))
        assert second != first
    finally:
        client.remove_image(moving, noprune=True)
    with pytest.raises(BackendError, match="pull_policy is never") as caught:
        await soon(backend.image_digest(moving, PullPolicy.NEVER))
    assert (caught.value.reason, caught.value.transient) == (Reason.IMAGE_ERROR, False)
