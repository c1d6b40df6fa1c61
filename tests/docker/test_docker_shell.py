"""Entering agents: running ones, and kept ones after their exit by way of a copy."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.agents.backend import AgentSpec, Mount
from engine.agents.docker import DockerBackend
from engine.agents.shells import Owner, Shell
from engine.errors import BackendError
from tests import docker_images
from tests.backend_contract import PATIENCE, begin, make_spec, soon

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(shutil.which("docker") is None, reason="entering agents needs the docker command"),
]


def type_into(command: Sequence[str], typed: bytes) -> bytes:
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


async def said(shell: Shell) -> tuple[int, str]:
    """The exit code and the output of a shell with a command."""
    ended = await soon(
        asyncio.to_thread(subprocess.run, shell.argv, capture_output=True, text=True, timeout=PATIENCE)
    )
    return ended.returncode, ended.stdout


async def stopped(backend: DockerBackend, spec: AgentSpec) -> None:
    """An agent that has run to its end and is still there."""
    await begin(backend, spec)
    await soon(backend.wait(spec.name))


def left_over(instance: str) -> list[object]:
    """Containers and images that were made for shells of an instance."""
    wanted = {"label": f"agentainer.shell.instance={instance}"}
    client = docker_images.client()
    return [*client.containers(all=True, filters=wanted), *client.images(filters=wanted)]


async def test_a_running_agent_is_entered(backend: DockerBackend, instance: str, busybox_image: str) -> None:
    spec = make_spec(instance, "echo treasure > /tmp/kept; echo ready; sleep 600", busybox_image)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    shell = await soon(backend.open_shell(spec.name))
    assert shell.copy == "", "the agent itself is entered"
    shown = await soon(asyncio.to_thread(type_into, shell.argv, b"cat /tmp/kept; exit\n"))
    assert b"\ntreasure" in shown
    await soon(backend.close_shell(shell))
    assert not left_over(instance)
    await soon(backend.kill(spec.name))


@pytest.mark.parametrize("network", ["default", "none"])
async def test_a_kept_agent_is_entered_after_its_exit_without_becoming_another_agent(
    backend: DockerBackend, instance: str, busybox_image: str, network: str
) -> None:
    spec = make_spec(instance, "echo treasure > /tmp/kept; exit 1", busybox_image, network=network)
    await stopped(backend, spec)
    shell = await soon(backend.open_shell(spec.name))
    assert "copy" in shell.note
    shown = await soon(asyncio.to_thread(type_into, shell.argv, b"cat /tmp/kept; echo new > /new; exit\n"))
    assert b"\ntreasure" in shown
    assert [agent.name for agent in await soon(backend.list_agents(instance))] == [spec.name]
    # The copy that was entered had the container's labels in its image.
    assert docker_images.client().images(filters={"label": f"agentainer.instance={instance}"}) == []
    await soon(backend.close_shell(shell))
    await soon(backend.close_shell(shell))
    assert not left_over(instance), "nothing of the shell stays"
    again = await soon(backend.open_shell(spec.name, "ls /new", tty=False))
    assert (await said(again))[0] == 1, "what was made in the copy went with it"
    await soon(backend.close_shell(again))


async def test_the_copy_has_the_files_mounts_user_place_and_environment_of_the_agent(
    backend: DockerBackend, instance: str, busybox_image: str, tmp_path: Path
) -> None:
    tmp_path.joinpath("note").write_text("from outside")
    tmp_path.chmod(0o755)  # it is another user's who enters
    spec = make_spec(
        instance,
        "echo left > /tmp/left; exit 3",
        busybox_image,
        env={"TOKEN": "s3cret and more"},
        user="1234",
        working_dir="/tmp",
        mounts=(Mount(str(tmp_path), "/outside", read_only=True),),
    )
    await stopped(backend, spec)
    script = 'cat left /outside/note; echo; id -u; pwd; echo "$TOKEN"; hostname; touch /outside/x; exit 9'
    shell = await soon(backend.open_shell(spec.name, script, tty=False))
    code, text = await said(shell)
    await soon(backend.close_shell(shell))
    assert text.split("\n")[:6] == ["left", "from outside", "1234", "/tmp", "s3cret and more", spec.name[:63]]
    assert code == 9, "the exit code is the command's"
    assert [file.name for file in tmp_path.iterdir()] == ["note"], "read-only stays read-only"


async def test_what_a_dead_process_left_is_swept_and_what_a_live_one_has_open_is_not(
    backend: DockerBackend, instance: str, busybox_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(instance, "true", busybox_image)
    await stopped(backend, spec)
    mine = await soon(backend.open_shell(spec.name))
    with monkeypatch.context() as patch:
        dead = subprocess.Popen(["true"])
        dead.wait()
        owner = Owner(Owner.here().host, dead.pid, "another time")
        patch.setattr("engine.agents.docker_enter.Owner.here", lambda: owner)
        lost = await soon(backend.open_shell(spec.name))
    found = {copy.info.name: copy for copy in await soon(backend.shell_copies(instance))}
    assert (found[mine.copy].in_use, found[lost.copy].in_use) == (True, False)
    assert {copy.agent for copy in found.values()} == {spec.name}
    assert await soon(backend.sweep_shells()) == [lost.copy]
    assert [copy.info.name for copy in await soon(backend.shell_copies(instance))] == [mine.copy]
    await soon(backend.close_shell(mine))
    assert not left_over(instance)


async def test_an_image_without_a_shell_and_an_agent_that_is_gone_are_refused_in_words(
    backend: DockerBackend, instance: str
) -> None:
    image = docker_images.image("static")
    spec = make_spec(instance, None, image)
    await stopped(backend, spec)
    with pytest.raises(BackendError, match="has no shell"):
        await soon(backend.open_shell(spec.name))
    with pytest.raises(BackendError, match="is gone"):
        await soon(backend.open_shell("agentainer-nothing-1"))
    assert not left_over(instance)
