"""Whole runs of containers that ask for something of the machine: refused, allowed, and what they get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker_images
from tests.engine.command_line import CommandLine

pytestmark = pytest.mark.docker

WORKFLOW = """
name: asking
steps:
  - id: read
    image: IMAGE
    volumes: ["./data:/in:ro"]
    working_dir: /in
    user: "12345:12345"
    command: "cat given; id -u; touch x 2>/dev/null || echo kept"
  - id: near
    image: IMAGE
    network: host
    command:
      - python3
      - -c
      - |
        import json, os, redis
        store = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=10)
        state = "workflow:%s:state" % os.environ["WORKFLOW_ID"]
        store.hset(state, "near", json.dumps(os.environ["REDIS_HOST"]))
        print(json.dumps({"sockets": len(open("/proc/net/unix").readlines())}))
"""


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    (tmp_path / "project" / "data").mkdir(parents=True)
    (tmp_path / "project" / "data" / "given").write_text("given\n")
    command_line = CommandLine(tmp_path)
    command_line.home.mkdir()
    yield command_line
    command_line.close()
    instance = command_line.home / "instance"
    if instance.exists():
        docker_images.remove_containers_of(instance.read_text().strip())


def test_a_run_gets_what_lies_beside_its_document_and_the_network_that_the_settings_allow(
    line: CommandLine, python_image: str
) -> None:
    line.write("project/w.yaml", WORKFLOW.replace("IMAGE", python_image))

    refused = line.run("run", "project/w.yaml", "--backend", "docker")
    assert refused.returncode == 2
    assert "allow_host_network" in refused.stderr
    assert line.json("history") == []

    (line.home / "agentainer.toml").write_text("allow_host_network = true\n")
    done = line.run("run", "project/w.yaml", "--backend", "docker", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    steps = {step["id"]: step for step in document["steps"]}
    assert steps["read"]["result"] == "given\n12345\nkept"
    # The namespace of the machine has sockets that a container's own never has.
    assert steps["near"]["result"]["sockets"] > 1
    assert document["run"]["state"]["near"]


def test_a_repository_can_neither_take_the_machine_nor_allow_itself_to(
    line: CommandLine, python_image: str
) -> None:
    (line.directory / "project" / "innocent").symlink_to("/etc")
    text = f"""
        name: hostile
        steps:
          - {{id: link, image: {python_image}, command: cat /in/passwd, volumes: ["./innocent:/in"]}}
          - {{id: socket, image: {python_image}, command: "true", volumes: ["/var/run/docker.sock:/s"]}}
          - {{id: rights, image: {python_image}, command: "true", privileged: true}}
    """
    line.write("project/w.yaml", text)
    refused = line.run("run", "project/w.yaml", "--backend", "docker")
    assert refused.returncode == 2
    for words in ("step 'link'", "/etc", "step 'socket'", "allow_docker_socket", "allow_privileged"):
        assert words in refused.stderr

    line.write("agentainer.toml", "allow_docker_socket = true\n")
    loosened = line.run("run", "project/w.yaml", "--backend", "docker")
    assert loosened.returncode == 2
    assert "cannot be set in the current directory" in loosened.stderr
