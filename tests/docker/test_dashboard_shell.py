"""The dashboard's own way into a container that has stopped: from the list of kept agents to its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agentainer_tui.app import DashboardApp
from agentainer_tui.bridge.client import EngineClient
from engine.agents.shells import Shell
from engine.settings import Settings
from tests import docker_images
from tests.docker.test_docker_shell import type_into
from tests.tui.driving import on_screen, until, until_seen

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(shutil.which("docker") is None, reason="entering agents needs the docker command"),
]

DOCUMENT = """
name: flow
config: {cleanup_policy: on_success}
steps:
  - {id: dig, image: IMAGE, command: "echo treasure > /found; echo lost >&2; exit 7"}
"""


async def test_a_stopped_container_is_entered_from_the_list_and_removed_after(
    tmp_path: Path, busybox_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "flow.yaml").write_text(DOCUMENT.replace("IMAGE", busybox_image))
    client = EngineClient(Settings(home=tmp_path / "home", backend="docker", stop_grace=0.5), flows)
    app = DashboardApp(client, flows)
    shown: list[bytes] = []

    def run(_: object, shell: Shell) -> None:
        shown.append(type_into(shell.argv, b"cat /found; exit\n"))

    monkeypatch.setattr("agentainer_tui.flows.entering._run", run)
    instance = ""
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: app.feed.workflows)
            instance = (tmp_path / "home" / "instance").read_text().strip()
            await client.run(str(flows / "flow.yaml"), {})
            await until_seen(pilot, "! 1 failed")
            await pilot.press("4")
            await until_seen(pilot, "failed, exit code 7")
            await pilot.press("home", "s")
            await until(pilot, lambda: shown)
            assert b"\ntreasure" in shown[0]
            (kept,) = await client.kept_agents()
            assert kept.size_bytes, "what it wrote takes disk"
            wanted = {"label": f"agentainer.shell.instance={instance}"}
            await until(pilot, lambda: not docker_images.client().images(filters=wanted))
            assert docker_images.client().containers(all=True, filters=wanted) == []
            await pilot.press("X")
            await until_seen(pilot, "Remove 1 agent?")
            await pilot.click("#remove")
            await until(pilot, lambda: "Nothing was kept." in on_screen(app))
            assert docker_images.containers_of(instance) == []
    finally:
        await client.close()
        if instance:
            docker_images.remove_containers_of(instance)
