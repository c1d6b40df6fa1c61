"""Images: found, pulled once for all, or refused for good or for now."""

from __future__ import annotations

import asyncio

import pytest

from engine.agents.backend import PullPolicy
from engine.agents.docker import DockerBackend
from engine.errors import BackendError, Reason
from tests import docker_images
from tests.backend_contract import Recording, begin, make_spec, soon
from tests.docker.proxy import Proxy
from tests.docker.registry import Registry

pytestmark = pytest.mark.docker


@pytest.fixture
def pulled(registry: Registry) -> str:
    return f"{registry.address}/team/marker:1.0"


def have(reference: str) -> bool:
    return bool(docker_images.client().images(reference, quiet=True))


async def test_a_missing_image_is_pulled_once_for_all_who_wait(
    backend: DockerBackend, instance: str, registry: Registry, pulled: str
) -> None:
    registry.gate.clear()
    specs = [make_spec(instance, None, pulled) for _ in range(5)]
    waiting = [asyncio.create_task(backend.prepare(spec)) for spec in specs]
    await soon(registry.asked.wait())
    registry.gate.set()
    await soon(asyncio.gather(*waiting))
    try:
        assert have(pulled)
        # One pull asks for the manifest at most twice (does it exist, what is in it).
        asked = registry.counts["manifest"]
        assert asked <= 2
        await soon(backend.prepare(specs[0]))
        assert registry.counts["manifest"] == asked
    finally:
        docker_images.client().remove_image(pulled, force=True)


async def test_a_waiter_that_is_cancelled_leaves_the_pull_to_the_others(
    backend: DockerBackend, instance: str, registry: Registry, pulled: str
) -> None:
    registry.gate.clear()
    first = asyncio.create_task(backend.prepare(make_spec(instance, None, pulled)))
    second = asyncio.create_task(backend.prepare(make_spec(instance, None, pulled)))
    await soon(registry.asked.wait())
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    registry.gate.set()
    await soon(second)
    assert have(pulled)
    docker_images.client().remove_image(pulled, force=True)


async def test_pull_policy_always_asks_the_registry_again(
    backend: DockerBackend, instance: str, registry: Registry, pulled: str
) -> None:
    spec = make_spec(instance, None, pulled, pull_policy=PullPolicy.ALWAYS)
    await soon(backend.prepare(spec))
    before = registry.counts["manifest"]
    await soon(backend.prepare(spec))
    assert registry.counts["manifest"] > before
    docker_images.client().remove_image(pulled, force=True)


async def test_pull_policy_never_does_not_ask_the_registry(
    backend: DockerBackend, instance: str, registry: Registry, pulled: str
) -> None:
    spec = make_spec(instance, None, pulled, pull_policy=PullPolicy.NEVER)
    with pytest.raises(BackendError, match="docker pull") as caught:
        await soon(backend.prepare(spec))
    assert (caught.value.reason, caught.value.transient) == (Reason.IMAGE_ERROR, False)
    assert registry.counts["manifest"] == 0


@pytest.mark.parametrize(
    ("refusal", "transient"),
    [
        ((404, "MANIFEST_UNKNOWN"), False),
        ((401, "UNAUTHORIZED"), False),
        ((403, "DENIED"), False),
        ((429, "TOOMANYREQUESTS"), True),
        ((500, "UNKNOWN"), True),
        ((503, "UNAVAILABLE"), True),
    ],
)
async def test_what_a_registry_says_decides_whether_to_ask_again(
    backend: DockerBackend,
    instance: str,
    registry: Registry,
    pulled: str,
    refusal: tuple[int, str],
    transient: bool,
) -> None:
    registry.refuse = refusal
    with pytest.raises(BackendError, match="team/marker") as caught:
        await soon(backend.prepare(make_spec(instance, None, pulled)))
    assert (caught.value.reason, caught.value.transient) == (Reason.IMAGE_ERROR, transient), caught.value


async def test_a_registry_that_is_not_there_may_come_back(backend: DockerBackend, instance: str) -> None:
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:9/nothing.*refused") as caught:
        await soon(backend.prepare(make_spec(instance, None, "127.0.0.1:9/nothing:1")))
    assert (caught.value.reason, caught.value.transient) == (Reason.IMAGE_ERROR, True)
    assert "docker pull 127.0.0.1:9/nothing:1" in str(caught.value)


async def test_a_pull_that_stalls_is_given_up(
    proxied: DockerBackend, proxy: Proxy, instance: str, registry: Registry, pulled: str
) -> None:
    registry.gate.clear()
    with pytest.raises(BackendError) as caught:
        await soon(proxied.prepare(make_spec(instance, None, pulled)))
    assert (caught.value.reason, caught.value.transient) == (Reason.IMAGE_ERROR, True)


@pytest.mark.parametrize(
    "reference",
    ["", " ", "UPPER/case", "a b", "../containers/x", "x:y:z", "x@sha256:12", "-x", "a/../b", "x\n", "x?y=1"],
)
async def test_what_is_no_reference_is_refused_before_anybody_is_asked(
    backend: DockerBackend, instance: str, reference: str
) -> None:
    with pytest.raises(BackendError) as caught:
        await soon(backend.prepare(make_spec(instance, None, reference)))
    assert (caught.value.reason, caught.value.transient) == (Reason.IMAGE_ERROR, False)


async def test_an_image_removed_after_it_was_found_is_looked_for_again(
    backend: DockerBackend, instance: str, registry: Registry, pulled: str
) -> None:
    spec = make_spec(instance, None, pulled)
    await soon(backend.prepare(spec))
    docker_images.client().remove_image(pulled, force=True)
    with pytest.raises(BackendError) as caught:
        await soon(backend.create(spec, Recording()))
    assert (caught.value.reason, caught.value.transient) == (Reason.IMAGE_ERROR, True)
    await soon(backend.prepare(spec))
    assert have(pulled)
    await soon(backend.create(spec, Recording()))
    await soon(backend.remove(spec.name))
    docker_images.client().remove_image(pulled, force=True)


async def test_an_image_is_used_by_its_id(backend: DockerBackend, instance: str, busybox_image: str) -> None:
    (image_id,) = docker_images.client().images(busybox_image, quiet=True)
    spec = make_spec(instance, "echo by id", image_id)
    sink = await begin(backend, spec)
    await soon(backend.wait(spec.name))
    assert sink.text() == b"by id\n"


async def test_how_far_a_pull_is_can_be_asked_while_it_goes_on(
    backend: DockerBackend, instance: str, registry: Registry, pulled: str
) -> None:
    registry.gate.clear()
    assert backend.fetched(pulled) is None
    waiting = asyncio.create_task(backend.prepare(make_spec(instance, None, pulled)))
    await soon(registry.asked.wait())
    assert backend.fetched(pulled) == 0
    registry.gate.set()
    await soon(waiting)
    assert backend.fetched(pulled) is None
    docker_images.client().remove_image(pulled, force=True)
