"""What is particular to agents that are containers."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from engine.agents.backend import AgentSpec, Limits
from engine.agents.docker import DockerBackend
from engine.errors import BackendError, Reason
from tests import docker_images
from tests.backend_contract import Recording, begin, make_spec, soon

pytestmark = pytest.mark.docker


@pytest.fixture
def image(busybox_image: str) -> str:
    return busybox_image


def inspected(spec: AgentSpec) -> dict[str, Any]:
    found: dict[str, Any] = docker_images.client().inspect_container(spec.name)
    return found


async def test_a_container_carries_the_labels_and_the_name_of_its_task(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "hostname", image, item=2, env={"STEP_ID": "step"})
    sink = await begin(backend, spec)
    await soon(backend.wait(spec.name))
    config = inspected(spec)["Config"]
    assert config["Labels"] == {
        "agentainer.id": spec.name,
        "agentainer.name": spec.name,
        "agentainer.workflow_id": spec.identity.run_id,
        "agentainer.step_id": "step",
        "agentainer.task_id": spec.identity.task_id,
        "agentainer.instance": instance,
        "agentainer.workflow": "demo",
        "agentainer.attempt": "1",
        "agentainer.item": "2",
        "agentainer.spec": "one",
    }
    assert "STEP_ID=step" in config["Env"]
    assert sink.text().decode().strip() == spec.name


async def test_limits_are_given_to_the_engine_and_swap_does_not_double_them(
    backend: DockerBackend, instance: str, image: str
) -> None:
    limits = Limits(nano_cpus=500_000_000, memory_bytes=64 << 20)
    spec = make_spec(instance, "true", image, limits=limits)
    await soon(backend.prepare(spec))
    await soon(backend.create(spec, Recording()))
    host = inspected(spec)["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (500_000_000, 64 << 20, 64 << 20)
    assert host["RestartPolicy"]["Name"] == "no"
    assert host["SecurityOpt"] == ["no-new-privileges"]


async def test_the_shared_network_resolves_the_host_and_its_gateway_is_announced(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "grep host.docker.internal /etc/hosts; ip route", image)
    sink = await begin(backend, spec)
    await soon(backend.wait(spec.name))
    words = sink.text().decode()
    assert "host.docker.internal" in words
    assert inspected(spec)["HostConfig"]["NetworkMode"] == "agentainer-network"
    network = docker_images.client().inspect_network("agentainer-network")
    assert f"default via {network['IPAM']['Config'][0]['Gateway']}" in words


async def test_a_service_bound_to_the_announced_gateway_is_reached_from_a_container(
    instance: str, image: str
) -> None:
    backend = DockerBackend(instance=instance, max_starts=4)
    facts = await backend.open()
    try:
        assert facts.gateway is not None
        answered = asyncio.Event()

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello\n")
            await writer.drain()
            writer.close()
            answered.set()

        server = await asyncio.start_server(answer, facts.gateway, 0)
        port = server.sockets[0].getsockname()[1]
        spec = make_spec(instance, f"nc {facts.gateway} {port}", image)
        sink = await begin(backend, spec)
        await soon(backend.wait(spec.name))
        server.close()
        assert sink.text() == b"hello\n"
        assert answered.is_set()
    finally:
        await backend.close()


async def test_network_none_has_nothing_but_loopback(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "ls /sys/class/net; cat /proc/net/route | wc -l", image, network="none")
    sink = await begin(backend, spec)
    assert (await soon(backend.wait(spec.name))).code == 0
    assert b"eth" not in sink.text()
    assert sink.text().splitlines()[-1] in (b"0", b"1")


async def test_the_image_s_own_command_runs_when_the_step_has_none(
    backend: DockerBackend, instance: str
) -> None:
    reference = docker_images.variant('ENTRYPOINT ["busybox"]', 'CMD ["echo", "own"]')
    own = make_spec(instance, None, reference)
    sink = await begin(backend, own)
    await soon(backend.wait(own.name))
    assert sink.text() == b"own\n"
    arguments = make_spec(instance, ("echo", "given"), reference)
    sink = await begin(backend, arguments)
    await soon(backend.wait(arguments.name))
    assert sink.text() == b"given\n"
    shell = make_spec(instance, "echo $((1 + 1))", reference)
    sink = await begin(backend, shell)
    await soon(backend.wait(shell.name))
    assert sink.text() == b"2\n"


async def test_the_image_s_stop_signal_is_what_stop_sends(backend: DockerBackend, instance: str) -> None:
    reference = docker_images.variant("STOPSIGNAL SIGUSR1")
    script = "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done"
    spec = make_spec(instance, script, reference)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    await soon(backend.stop(spec.name, 50))
    assert (await soon(backend.wait(spec.name))).code == 9


# -- ends -------------------------------------------------------------------------------------------------


async def test_a_task_over_its_memory_limit_is_told_from_one_that_was_killed(
    backend: DockerBackend, instance: str, image: str
) -> None:
    hungry = "x=a; while :; do x=$x$x; done"
    spec = make_spec(instance, hungry, image, limits=Limits(memory_bytes=16 << 20))
    await begin(backend, spec)
    end = await soon(backend.wait(spec.name))
    assert (end.code, end.oom, end.lost) == (137, True, False)


async def test_a_child_that_is_killed_for_memory_does_not_hide_the_task_s_own_exit_code(
    backend: DockerBackend, instance: str, image: str
) -> None:
    script = "(x=a; while :; do x=$x$x; done); echo child $?; exit 5"
    spec = make_spec(instance, script, image, limits=Limits(memory_bytes=16 << 20))
    sink = await begin(backend, spec)
    end = await soon(backend.wait(spec.name))
    assert (end.code, end.oom, sink.text()) == (5, False, b"child 137\n")
    assert "memory" in end.note


async def test_a_container_killed_by_hand_has_failed_and_is_not_lost(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "echo ready; sleep 600", image)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    docker_images.client().kill(spec.name)
    end = await soon(backend.wait(spec.name))
    assert (end.code, end.lost, end.oom) == (137, False, False)


async def test_a_container_removed_by_hand_is_lost(backend: DockerBackend, instance: str, image: str) -> None:
    spec = make_spec(instance, "echo ready; sleep 600", image)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    docker_images.client().remove_container(spec.name, force=True)
    end = await soon(backend.wait(spec.name))
    assert (end.code, end.lost) == (-1, True)
    await soon(backend.stop(spec.name, 10))
    await soon(backend.remove(spec.name))


async def test_a_container_removed_by_hand_before_its_start_is_lost(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "true", image)
    await soon(backend.prepare(spec))
    await soon(backend.create(spec, Recording()))
    docker_images.client().remove_container(spec.name, force=True)
    with pytest.raises(BackendError) as caught:
        await soon(backend.start(spec.name))
    assert (caught.value.reason, caught.value.transient) == (Reason.LOST, True)
    assert (await soon(backend.wait(spec.name))).lost


async def test_a_paused_container_is_stopped_in_its_own_way(
    backend: DockerBackend, instance: str, image: str
) -> None:
    script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    spec = make_spec(instance, script, image)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    docker_images.client().pause(spec.name)
    await soon(backend.stop(spec.name, 50))
    assert (await soon(backend.wait(spec.name))).code == 7


async def test_a_paused_container_is_killed(backend: DockerBackend, instance: str, image: str) -> None:
    spec = make_spec(instance, "echo ready; sleep 600", image)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    docker_images.client().pause(spec.name)
    await soon(backend.kill(spec.name))
    assert (await soon(backend.wait(spec.name))).code == 137


# -- what cannot run --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(nano_cpus=10**13), "CPUs"),
        (Limits(nano_cpus=0), "CPUs"),
        (Limits(memory_bytes=1 << 60), "memory_limit"),
        (Limits(memory_bytes=(6 << 20) - 1), "6Mi"),
        (Limits(memory_bytes=-1), "6Mi"),
    ],
)
async def test_limits_beyond_the_machine_are_refused_before_anything_is_made(
    backend: DockerBackend, instance: str, image: str, limits: Limits, words: str
) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        await soon(backend.prepare(make_spec(instance, "true", image, limits=limits)))
    assert (caught.value.reason, caught.value.transient) == (Reason.INPUT_ERROR, False)


async def test_gpus_are_refused_where_there_are_none(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, "true", image, limits=Limits(gpus=1))
    with pytest.raises(BackendError, match="GPU") as caught:
        await begin(backend, spec)
    assert (caught.value.reason, caught.value.transient) == (Reason.INPUT_ERROR, False)


async def test_a_container_needs_an_image(backend: DockerBackend, instance: str) -> None:
    with pytest.raises(BackendError, match="no image") as caught:
        await soon(backend.prepare(make_spec(instance, "true", None)))
    assert caught.value.reason is Reason.INPUT_ERROR


@pytest.mark.parametrize(
    ("command", "code"), [(("no-such-program",), 127), (("/etc/passwd",), 126), (("/tmp",), 126)]
)
async def test_without_an_init_the_engine_itself_says_what_could_not_be_started(
    instance: str, image: str, command: tuple[str, ...], code: int
) -> None:
    backend = DockerBackend(instance=instance, init=False)
    await backend.open()
    try:
        spec = make_spec(instance, command, image)
        with pytest.raises(BackendError) as caught:
            await begin(backend, spec)
        assert (caught.value.reason, caught.value.transient) == (Reason.START_FAILED, False)
        end = await soon(backend.wait(spec.name))
        assert (end.code, end.lost) == (code, False)
        assert command[0] in end.start_error
        await soon(backend.stop(spec.name, 10))
    finally:
        await backend.close()


# -- one agent, one container -----------------------------------------------------------------------------


async def test_a_container_of_another_home_is_never_touched(
    backend: DockerBackend, instance: str, image: str
) -> None:
    foreign = f"foreign-{secrets.token_hex(4)}"
    labels = {"agentainer.instance": f"{instance}-other"}
    client = docker_images.client()
    client.create_container(image, ["sleep", "600"], name=foreign, labels=labels)
    try:
        client.start(foreign)
        for call in (backend.kill, backend.remove, backend.start, backend.wait):
            with pytest.raises(BackendError, match="not of this home"):
                await soon(call(foreign))
        with pytest.raises(BackendError, match="not of this home"):
            await soon(backend.create(make_spec(instance, "true", image, name=foreign), Recording()))
        await soon(backend.remove(foreign))
        assert client.inspect_container(foreign)["State"]["Running"]
        assert foreign not in {agent.name for agent in await soon(backend.list_agents(instance))}
        assert foreign in {agent.name for agent in await soon(backend.list_agents())}
    finally:
        client.remove_container(foreign, force=True)


async def test_an_outdated_container_of_this_home_is_replaced(
    backend: DockerBackend, instance: str, image: str
) -> None:
    old = make_spec(instance, "echo old", image, digest="old")
    before = await soon(backend.create(old, Recording()))
    await backend.close()
    again = DockerBackend(instance=instance)
    await again.open()
    try:
        new = make_spec(instance, "echo new", image, name=old.name, digest="new")
        sink = Recording()
        after = await soon(again.create(new, sink))
        assert after != before
        await soon(again.start(new.name))
        await soon(again.wait(new.name))
        assert sink.text() == b"new\n"
    finally:
        await again.close()


async def test_the_network_is_made_once_by_engines_that_start_together(instance: str) -> None:
    network = f"agentainer-test-{secrets.token_hex(4)}"
    backends = [DockerBackend(instance=instance, network=network) for _ in range(4)]
    client = docker_images.client()
    try:
        facts = await soon(asyncio.gather(*(backend.open() for backend in backends)))
        found = client.networks(names=[network])
        assert len(found) == 1
        assert {fact.gateway for fact in facts} == {found[0]["IPAM"]["Config"][0]["Gateway"]}
    finally:
        for backend in backends:
            await backend.close()
        for left in client.networks(names=[network]):
            client.remove_network(left["Id"])


async def test_a_network_that_was_pruned_comes_back_with_the_same_addresses(
    instance: str, image: str
) -> None:
    network = f"agentainer-test-{secrets.token_hex(4)}"
    backend = DockerBackend(instance=instance, network=network)
    client = docker_images.client()
    try:
        await backend.open()
        before = client.inspect_network(network)
        client.remove_network(network)
        spec = make_spec(instance, "ip route", image)
        sink = await begin(backend, spec)
        assert (await soon(backend.wait(spec.name))).code == 0
        assert client.inspect_network(network)["IPAM"]["Config"] == before["IPAM"]["Config"]
        assert before["IPAM"]["Config"][0]["Gateway"].encode() in sink.text()
        await soon(backend.remove(spec.name))
    finally:
        await backend.close()
        for left in client.networks(names=[network]):
            client.remove_network(left["Id"])


async def test_a_container_is_described_without_its_variables_and_its_command(
    backend: DockerBackend, instance: str, image: str
) -> None:
    spec = make_spec(instance, ("echo", "hunter2-in-argv"), image, env={"API_TOKEN": "hunter2-in-env"})
    await begin(backend, spec)
    await soon(backend.wait(spec.name))
    found = await backend.describe(spec.name)
    assert found is not None
    assert found["state"]["status"] == "exited"
    assert found["image"]["id"] == inspected(spec)["Image"] == backend.image_id(spec.name)
    assert "API_TOKEN" in found["config"]["Env"]
    assert "hunter2" not in str(found)
    await backend.remove(spec.name)
    assert await backend.describe(spec.name) is None
