"""What is kept of agents: whole or not at all, within the run's folder, and shared between runs safely."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.agents.backend import AgentIdentity, AgentSpec
from engine.agents.memory import MemoryBackend, Script
from engine.errors import BackendError, Reason
from engine.orchestrator.artifacts import Artifact, ArtifactStore, Collected
from engine.workflows.plan import ArtifactPlan

REPORT = ArtifactPlan("out/report.txt", "report.txt")


class Nowhere:
    """A log sink."""

    def write(self, *_: object) -> None:
        """Forget it."""

    def restart(self) -> None:
        """There is nothing to forget."""


async def left(files: dict[str, bytes], name: str = "agent") -> MemoryBackend:
    """A backend whose one agent has ended and left files."""
    backend = MemoryBackend(lambda spec: Script(files=files))
    identity = AgentIdentity("home", "flow", "aaaa", "build", None, 1, "task")
    await backend.create(AgentSpec(name, identity, "image", None, {}), Nowhere())
    await backend.start(name)
    await backend.wait(name)
    return backend


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts", 1000)


async def collect(
    store: ArtifactStore,
    files: dict[str, bytes],
    plans: Sequence[ArtifactPlan] = (REPORT,),
    item: int | None = None,
) -> Collected:
    backend = await left(files)
    return await store.collect(backend, "agent", plans, run_id="aaaa", step_id="build", item=item)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


async def test_a_file_and_a_directory_are_kept_under_their_names(store: ArtifactStore) -> None:
    plans = [REPORT, ArtifactPlan("site", "pages")]
    files = {"out/report.txt": b"all well", "site/index.html": b"<p>", "site/css/a.css": b"p {}"}
    kept = await collect(store, files, plans)
    assert kept == Collected((Artifact("report.txt", 8), Artifact("pages", 7)))
    assert tree(store.folder("aaaa")) == {
        "build/report.txt": b"all well",
        "build/pages/index.html": b"<p>",
        "build/pages/css/a.css": b"p {}",
    }


async def test_items_have_folders_of_their_own(store: ArtifactStore) -> None:
    await collect(store, {"out/report.txt": b"of the third"}, item=2)
    assert tree(store.folder("aaaa")) == {"build.2/report.txt": b"of the third"}


async def test_a_missing_artifact_is_told_and_the_others_are_kept(store: ArtifactStore) -> None:
    plans = [ArtifactPlan("nothing", "nothing"), ArtifactPlan("maybe", "maybe", optional=True), REPORT]
    kept = await collect(store, {"out/report.txt": b"x"}, plans)
    assert kept.artifacts == (Artifact("report.txt", 1),)
    [problem] = kept.failures
    assert problem.reason is Reason.BAD_RESULT and not problem.transient
    assert "the artifact 'nothing' is missing: there is nothing at 'nothing'" in str(problem)
    assert "`optional: true`" in str(problem)


async def test_an_artifact_over_the_limit_is_refused_and_leaves_nothing(store: ArtifactStore) -> None:
    kept = await collect(store, {"out/report.txt": b"x" * 1001})
    [problem] = kept.failures
    assert problem.reason is Reason.BAD_RESULT and "larger than 1000 bytes" in str(problem)
    assert kept.artifacts == () and tree(store.folder("aaaa")) == {}


async def test_a_later_attempt_replaces_what_an_earlier_one_has_left(store: ArtifactStore) -> None:
    plans = [REPORT, ArtifactPlan("extra", "extra", optional=True)]
    await collect(store, {"out/report.txt": b"first", "extra": b"only first"}, plans)
    await collect(store, {"out/report.txt": b"second"}, plans)
    assert tree(store.folder("aaaa")) == {"build/report.txt": b"second"}
    await collect(store, {}, plans)
    assert not (store.folder("aaaa") / "build").exists()


async def test_everybody_in_a_container_may_read_and_nobody_outside(
    store: ArtifactStore, tmp_path: Path
) -> None:
    old = os.umask(0o077)
    try:
        await collect(store, {"site/a": b"x"}, [ArtifactPlan("site", "site")])
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "artifacts").stat().st_mode) == 0o700
    folder = store.folder("aaaa")
    for directory in (folder, folder / "build", folder / "build" / "site"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "build" / "site" / "a").stat().st_mode) == 0o444


async def test_a_cancelled_collection_is_not_taken_for_whole(store: ArtifactStore, tmp_path: Path) -> None:
    class Slow(MemoryBackend):
        async def collect(self, name: str, path: str, into: Path, *, limit: int) -> int | None:
            into.write_bytes(b"half")
            half.set()
            await asyncio.Event().wait()
            return 4

    half = asyncio.Event()
    collecting = asyncio.ensure_future(
        store.collect(Slow(), "agent", [REPORT], run_id="aaaa", step_id="build", item=None)
    )
    await half.wait()
    collecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await collecting
    assert tree(tmp_path / "artifacts") == {}


async def test_what_a_dead_engine_had_half_of_is_neither_seen_nor_in_the_way(
    store: ArtifactStore, tmp_path: Path
) -> None:
    await collect(store, {"out/report.txt": b"x"})
    [unfinished] = (tmp_path / "artifacts").glob(".*")
    half = unfinished / "new" / "aaaa.build" / "report.txt"
    half.parent.mkdir()
    half.write_bytes(b"half of it")
    assert tree(store.folder("aaaa")) == {"build/report.txt": b"x"}
    await collect(store, {"out/report.txt": b"whole"})
    assert tree(store.folder("aaaa")) == {"build/report.txt": b"whole"}
    store.forget_unfinished()
    assert not unfinished.exists()


async def test_a_backend_that_fails_is_told_of(store: ArtifactStore) -> None:
    backend = MemoryBackend()
    kept = await store.collect(backend, "gone", [REPORT], run_id="aaaa", step_id="build", item=None)
    assert [problem.reason for problem in kept.failures] == [Reason.LOST]


async def test_a_disk_that_refuses_is_told_of(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be", encoding="utf-8")
    kept = await collect(store, {"out/report.txt": b"x"})
    [problem] = kept.failures
    assert problem.reason is Reason.INFRA_ERROR and problem.transient
    with pytest.raises(BackendError, match="cannot be written"):
        store.make_folder("aaaa")


async def test_another_run_takes_artifacts_over_without_copying_them(store: ArtifactStore) -> None:
    plans = [REPORT, ArtifactPlan("site", "site")]
    await collect(store, {"out/report.txt": b"all well", "site/a": b"abc"}, plans)
    taken = await store.take_over("aaaa", "build", None, "bbbb")
    assert taken == (Artifact("report.txt", 8), Artifact("site", 3))
    one, other = (store.folder(run) / "build" / "report.txt" for run in ("aaaa", "bbbb"))
    assert one.stat().st_ino == other.stat().st_ino
    one.unlink()
    assert tree(store.folder("bbbb")) == {"build/report.txt": b"all well", "build/site/a": b"abc"}


async def test_links_inside_an_artifact_stay_links_when_it_is_taken_over(store: ArtifactStore) -> None:
    await collect(store, {"site/a": b"abc"}, [ArtifactPlan("site", "site")])
    (store.folder("aaaa") / "build" / "site" / "b").symlink_to("a")
    await store.take_over("aaaa", "build", None, "bbbb")
    assert (store.folder("bbbb") / "build" / "site" / "b").readlink() == Path("a")


async def test_what_cannot_be_linked_is_copied(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await collect(store, {"out/report.txt": b"all well"})

    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    await store.take_over("aaaa", "build", None, "bbbb")
    assert tree(store.folder("bbbb")) == {"build/report.txt": b"all well"}


async def test_artifacts_that_are_gone_cannot_be_taken_over(store: ArtifactStore) -> None:
    assert await store.take_over("aaaa", "build", 1, "bbbb") is None
    assert not store.folder("bbbb").exists()
