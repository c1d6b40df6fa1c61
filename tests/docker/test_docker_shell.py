"""Entering agents: running ones, and kept ones after their exit."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import subprocess

import pytest

from engine.agents.docker import DockerBackend
from tests import docker_images
from tests.backend_contract import PATIENCE, begin, make_spec, soon

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(shutil.which("docker") is None, reason="entering agents needs the docker command"),
]


def type_into(command: list[str], typed: bytes) -> bytes:
    """Run a command on a terminal of its own, type, and return all that it showed."""
    main, side = pty.openpty()
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side, start_new_session=True) as shell:
        os.close(side)
        os.write(main, typed)
        shown = bytearray()
        try:
            while data := os.read(main, 4096):
                shown += data
        except OSError:  # the other side hung up
            pass
        shell.wait(PATIENCE)
    os.close(main)
    return bytes(shown)


async def test_a_running_agent_is_entered(backend: DockerBackend, instance: str, busybox_image: str) -> None:
    spec = make_spec(instance, "echo treasure > /tmp/kept; echo ready; sleep 600", busybox_image)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    command = backend.shell_command(spec.name)
    assert command is not None
    shown = await soon(asyncio.to_thread(type_into, command, b"cat /tmp/kept; exit\n"))
    assert b"\ntreasure" in shown
    await soon(backend.kill(spec.name))


@pytest.mark.parametrize("network", ["default", "none"])
async def test_a_kept_agent_is_entered_after_its_exit_without_becoming_another_agent(
    backend: DockerBackend, instance: str, busybox_image: str, network: str
) -> None:
    spec = make_spec(instance, "echo treasure > /tmp/kept; exit 1", busybox_image, network=network)
    await begin(backend, spec)
    await soon(backend.wait(spec.name))
    command = backend.shell_command(spec.name)
    assert command is not None
    shown = await soon(asyncio.to_thread(type_into, command, b"cat /tmp/kept; exit\n"))
    assert b"\ntreasure" in shown
    assert [agent.name for agent in await soon(backend.list_agents(instance))] == [spec.name]
    # The copy that was entered had the container's labels in its image.
    assert docker_images.client().images(filters={"label": f"agentainer.instance={instance}"}) == []
