"""What all tests share: the rule for tests that need Docker, and the images and instances they use."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need Docker run one after the other, on one worker, whatever the others do."""
    for item in items:
        if item.get_closest_marker("docker"):
            item.add_marker(pytest.mark.xdist_group("docker"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `docker` are skipped without an engine, with the reason; REQUIRE_DOCKER=1 fails them."""
    if item.get_closest_marker("docker"):
        from tests import docker_images

        docker_images.skip_without_docker()


@pytest.fixture(scope="session", autouse=True)
def no_server_stays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A test that fails with its engine killed leaves a Redis server, which survives that by design."""
    yield
    from tests.unit.state.places import kill_all_servers_below

    if left := list(kill_all_servers_below(tmp_path_factory.getbasetemp())):
        warnings.warn(f"tests left Redis servers, killed now: {left}", stacklevel=1)


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
