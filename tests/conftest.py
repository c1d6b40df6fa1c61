"""What all tests share: the rule for tests that need Docker, and the images and instances they use."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `docker` are skipped without an engine, with the reason; REQUIRE_DOCKER=1 fails them."""
    if item.get_closest_marker("docker"):
        from tests import docker_images

        docker_images.skip_without_docker()


@pytest.fixture
def instance(request: pytest.FixtureRequest) -> Iterator[str]:
    """A home's id that no other test has; containers that carry it are removed when the test is over."""
    name = f"test-{secrets.token_hex(6)}"
    yield name
    if request.node.get_closest_marker("docker"):
        from tests import docker_images

        docker_images.remove_containers_of(name)


@pytest.fixture(scope="session")
def busybox_image() -> str:
    """A local image with nothing but busybox."""
    from tests import docker_images

    return docker_images.image("busybox")


@pytest.fixture(scope="session")
def python_image() -> str:
    """A local image with busybox, Python and the `redis` client."""
    from tests import docker_images

    return docker_images.image("python")
