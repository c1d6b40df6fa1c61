"""Docker for tests: whether it is there, the locally built images, and the sweep at a test's end."""

from __future__ import annotations

import functools
import hashlib
import io
import os

import pytest
from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env

from tests.images import build


@functools.cache
def docker_problem() -> str | None:
    """Why the tests that need Docker cannot run here, or None if they can. Asked once per session."""
    try:
        client().ping()
    except DockerException as error:
        return f"no Docker engine: {error}"
    return None


@functools.cache
def client() -> APIClient:
    """One client for the preparations and checks of tests, apart from the code under test."""
    return APIClient(**kwargs_from_env(), version="auto", timeout=60)


def socket_path() -> str:
    """The engine's socket, for tests that put something in between; skips where it is not a socket."""
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not host.startswith("unix://"):
        pytest.skip(f"needs an engine on a Unix socket, found DOCKER_HOST={host}")
    return host.removeprefix("unix://")


def skip_without_docker() -> None:
    """Skip the running test and say why; with `REQUIRE_DOCKER=1` fail it instead."""
    problem = docker_problem()
    if problem is None:
        return
    if os.environ.get("REQUIRE_DOCKER") == "1":
        pytest.fail(f"REQUIRE_DOCKER=1, but {problem}", pytrace=False)
    pytest.skip(problem)


@functools.cache
def image(name: str) -> str:
    """The reference of a test image (`busybox`, `python`, `shellless`, `static`), built if it is missing."""
    root = {
        "busybox": build.busybox_root,
        "python": build.python_root,
        "shellless": build.shellless_root,
        "static": build.static_root,
    }[name]
    try:
        return build.ensure(client(), name, root())
    except build.CannotBuildError as error:
        if os.environ.get("REQUIRE_DOCKER") == "1":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


def variant(*instructions: str) -> str:
    """The reference of an image that is busybox with these instructions of a Dockerfile on top."""
    lines = "\n".join((f"FROM {image('busybox')}", *instructions))
    reference = f"agentainer-test/variant:{hashlib.sha256(lines.encode()).hexdigest()[:12]}"
    dockerfile = io.BytesIO(lines.encode())
    for line in client().build(fileobj=dockerfile, tag=reference, rm=True, decode=True):
        assert "error" not in line, line
    return reference


def containers_of(instance: str) -> list[str]:
    """Names of all containers that carry this instance's label, running or not."""
    found = client().containers(all=True, filters={"label": f"agentainer.instance={instance}"})
    return [container["Names"][0].lstrip("/") for container in found]


def remove_containers_of(instance: str) -> None:
    """Remove whatever a test left. Containers of other instances are never touched."""
    for name in containers_of(instance):
        try:
            client().remove_container(name, force=True, v=True)
        except NotFound:
            pass
        except APIError as error:
            if error.status_code != 409:  # someone is removing it already
                raise
