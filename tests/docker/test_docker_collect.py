"""Collecting from containers: links within them, engines that break off, and what a cancel leaves."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from pathlib import Path

import pytest

from engine.agents.docker import DockerBackend
from engine.errors import BackendError, Reason
from tests.backend_contract import Recording, begin, make_spec, soon
from tests.docker.proxy import Proxy

pytestmark = pytest.mark.docker


@pytest.fixture
def image(busybox_image: str) -> str:
    return busybox_image


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


async def ended(backend: DockerBackend, instance: str, image: str, script: str) -> str:
    spec = make_spec(instance, script, image)
    await begin(backend, spec)
    assert (await soon(backend.wait(spec.name))).code == 0
    return spec.name


async def test_a_link_at_the_path_is_followed_within_the_container(
    backend: DockerBackend, instance: str, image: str, place: Path
) -> None:
    script = """
        mkdir -p /data/v1 /out; echo of the container > /data/v1/file; ln -s v1 /data/latest
        ln -s /data/latest /out/result; echo container:x:0:0::/: > /etc/passwd
        ln -s ../../../../../../etc/passwd /out/passwd; ln -s circle /out/circle; ln -s / /out/all
    """
    name = await ended(backend, instance, image, script)
    assert await soon(backend.collect(name, "/out/result", place / "result", limit=100)) == 17
    assert (place / "result" / "file").read_text() == "of the container\n"
    assert await soon(backend.collect(name, "/out/passwd", place / "passwd", limit=100)) == 20
    assert (place / "passwd").read_text() == "container:x:0:0::/:\n"
    assert not (place / "passwd").is_symlink()
    assert await soon(backend.collect(name, "/out/circle", place / "circle", limit=100)) is None
    with pytest.raises(BackendError, match="whole file system") as caught:
        await soon(backend.collect(name, "/out/all", place / "all", limit=1 << 30))
    assert caught.value.reason is Reason.BAD_RESULT


@pytest.mark.parametrize("path", ["/", ".", "//", "/out/..", "../../.."])
async def test_the_whole_file_system_is_not_collected(
    backend: DockerBackend, instance: str, image: str, path: str, place: Path
) -> None:
    name = await ended(backend, instance, image, "mkdir /out")
    with pytest.raises(BackendError, match="whole file system") as caught:
        await soon(backend.collect(name, path, place / "kept", limit=1 << 30))
    assert caught.value.reason is Reason.BAD_RESULT


async def test_the_kernel_s_trees_have_nothing_to_collect(
    backend: DockerBackend, instance: str, image: str, place: Path
) -> None:
    spec = make_spec(instance, "echo ready; sleep 600", image)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    for path in ("/proc/1/environ", "/proc/self/root/etc/passwd", "/sys/kernel"):
        assert await soon(backend.collect(spec.name, path, place / "kept", limit=1 << 20)) is None


async def test_devices_are_refused(backend: DockerBackend, instance: str, image: str, place: Path) -> None:
    name = await ended(backend, instance, image, "mkdir /out; mknod /out/null c 1 3")
    with pytest.raises(BackendError, match="device") as caught:
        await soon(backend.collect(name, "/out", place / "kept", limit=100))
    assert caught.value.reason is Reason.BAD_RESULT
    assert list(place.iterdir()) == []


async def test_an_engine_that_takes_a_container_over_collects_from_it(
    backend: DockerBackend, instance: str, image: str, place: Path
) -> None:
    name = await ended(backend, instance, image, "echo kept > /tmp/file")
    await backend.close()
    again = DockerBackend(instance=instance)
    await again.open()
    try:
        assert await soon(again.adopt(name, Recording())) is not None
        assert await soon(again.collect(name, "/tmp/file", place / "kept", limit=100)) == 5
    finally:
        await again.close()


async def test_megabytes_come_unchanged(
    backend: DockerBackend, instance: str, image: str, place: Path
) -> None:
    size = 20 << 20
    name = await ended(backend, instance, image, f"yes 0123456789abcde | head -c {size} > /tmp/file")
    assert await soon(backend.collect(name, "/tmp/file", place / "kept", limit=size)) == size
    expected = hashlib.sha256(b"0123456789abcde\n" * (size // 16)).hexdigest()
    assert hashlib.sha256((place / "kept").read_bytes()).hexdigest() == expected


async def test_a_connection_that_breaks_leaves_nothing_half_done(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str, place: Path
) -> None:
    name = await ended(
        proxied, instance, image, "mkdir /out; for i in 1 2 3; do yes | head -c 9000000 > /out/$i; done"
    )
    proxy.cut_answers("GET .*archive", after=10 << 20)
    with pytest.raises(BackendError, match="broke") as caught:
        await soon(proxied.collect(name, "/out", place / "kept", limit=1 << 30))
    assert (caught.value.reason, caught.value.transient) == (Reason.INFRA_ERROR, True)
    assert list(place.iterdir()) == []


async def test_an_engine_that_falls_silent_is_given_up(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str, place: Path
) -> None:
    name = await ended(proxied, instance, image, "echo > /tmp/file")
    proxy.hold_answers("GET .*archive")
    with pytest.raises(BackendError, match="did not answer") as caught:
        await soon(proxied.collect(name, "/tmp/file", place / "kept", limit=100))
    assert (caught.value.reason, caught.value.transient) == (Reason.INFRA_ERROR, True)
    assert list(place.iterdir()) == []


async def test_a_cancelled_collection_leaves_nothing(
    proxied: DockerBackend, proxy: Proxy, instance: str, image: str, place: Path
) -> None:
    name = await ended(proxied, instance, image, "yes | head -c 30000000 > /tmp/file")
    collecting = asyncio.create_task(proxied.collect(name, "/tmp/file", place / "kept", limit=1 << 30))
    await proxy.saw("GET .*archive")
    collecting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await soon(collecting)
    assert collecting.cancelled()
    assert list(place.iterdir()) == []
