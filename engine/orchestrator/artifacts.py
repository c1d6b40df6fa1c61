"""Artifacts: what tasks leave behind that is kept, in the home's folder `artifacts/<run>/<step>[.<item>]/`.

What stands under a unit's name there is whole: it is put together in a place of its own and moved there.
Files are made read-only, since runs that take over each other's artifacts share them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.agents.backend import Backend
from engine.errors import BackendError, Reason
from engine.orchestrator.naming import unit_name
from engine.orchestrator.shielding import uncancelled
from engine.workflows.plan import ArtifactPlan, Plan

# Where containers find the folder of their run.
MOUNT_POINT = "/agentainer/artifacts"

# Runs' ids are hex digits, so this is none of them.
_UNFINISHED = ".unfinished"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file or directory that was kept; `size` in bytes."""

    name: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """As events have it."""
        return {"name": self.name, "size": self.size}


class MissingArtifactError(BackendError):
    """A task left nothing where an artifact should be."""

    def __init__(self, plan: ArtifactPlan) -> None:
        super().__init__(
            Reason.BAD_RESULT,
            f"the artifact {plan.name!r} is missing: there is nothing at {plan.path!r}",
            transient=False,
            hint="have the task write it, or mark it `optional: true`",
        )


@dataclass(frozen=True, slots=True)
class Collected:
    """What came of collecting: what is kept, and why something that should be is not."""

    artifacts: tuple[Artifact, ...] = ()
    failures: tuple[BackendError, ...] = ()


class ArtifactStore:
    """The artifacts of a home's runs.

    Args:
        root: the folder of all runs' artifacts; made when it is needed.
        limit: bytes of one artifact, at most.
    """

    def __init__(self, root: Path, limit: int) -> None:
        self._root = root
        self._limit = limit

    def folder(self, run_id: str) -> Path:
        """Where the artifacts of a run are, or will be."""
        return self._root / run_id

    def make_folder(self, run_id: str) -> Path:
        """The folder of a run, made if need be, for its tasks to look into.

        Raises:
            BackendError: it cannot be made.
        """
        folder = self.folder(run_id)
        with _disk_errors(f"the artifacts' folder {folder}"):
            # Others on this machine are kept out above: below, a container's user must be able to read.
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        return folder

    async def collect(
        self,
        backend: Backend,
        agent: str,
        plans: Sequence[ArtifactPlan],
        *,
        run_id: str,
        step_id: str,
        item: int | None,
    ) -> Collected:
        """Keep what an agent has left, instead of what an earlier attempt of the same unit had."""
        unit = unit_name(step_id, item)
        place = self._place(run_id, unit)
        artifacts: list[Artifact] = []
        failures: list[BackendError] = []
        try:
            await uncancelled(asyncio.to_thread(_make_empty, place))
            for plan in plans:
                try:
                    size = await backend.collect(agent, plan.path, place / plan.name, limit=self._limit)
                except BackendError as error:
                    failures.append(error)
                    continue
                if size is not None:
                    artifacts.append(Artifact(plan.name, size))
                elif not plan.optional:
                    failures.append(MissingArtifactError(plan))
            target = self.make_folder(run_id) / unit
            await uncancelled(asyncio.to_thread(_publish, place, target))
        except BackendError as error:
            return Collected(failures=(*failures, error))
        finally:
            await uncancelled(asyncio.to_thread(shutil.rmtree, place, ignore_errors=True))
        return Collected(tuple(artifacts), tuple(failures))

    async def kept(self, run_id: str, step_id: str, item: int | None = None) -> tuple[Artifact, ...]:
        """What there is of a step or item, by name."""
        return await asyncio.to_thread(_content, self.folder(run_id) / unit_name(step_id, item))

    async def take_over(
        self, from_run: str, step_id: str, item: int | None, to_run: str, *, to_item: int | None = None
    ) -> tuple[Artifact, ...] | None:
        """Give a run what another has of a step or item; None if that has nothing (any more).

        `to_item` is the item that gets it, where that is another one.

        Raises:
            BackendError: the disk does not take it.
        """
        unit = unit_name(step_id, item if to_item is None else to_item)
        source, place = self.folder(from_run) / unit_name(step_id, item), self._place(to_run, unit)
        if not source.is_dir():
            return None
        target = self.make_folder(to_run) / unit
        return await uncancelled(asyncio.to_thread(_take_over, source, place, target))

    def forget_unfinished(self) -> None:
        """Remove what an interrupted engine was putting together; nothing may be collected meanwhile."""
        shutil.rmtree(self._root / _UNFINISHED, ignore_errors=True)

    def _place(self, run_id: str, unit: str) -> Path:
        return self._root / _UNFINISHED / "new" / f"{run_id}.{unit}"


def has_artifacts(plan: Plan) -> bool:
    """Whether any task of a plan leaves artifacts."""
    return any(step.task is not None and step.task.artifacts for step in plan.steps.values())


def _publish(place: Path, target: Path) -> None:
    """Move what was put together to where it is seen; what was there goes."""
    old = place.parent.with_name("old") / place.name
    shutil.rmtree(old, ignore_errors=True)
    with _disk_errors(f"the artifacts in {target}"):
        _protect(place)
        if target.exists():
            old.parent.mkdir(exist_ok=True)
            target.rename(old)
        if any(place.iterdir()):
            place.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _take_over(source: Path, place: Path, target: Path) -> tuple[Artifact, ...]:
    _make_empty(place)
    place.rmdir()
    with _disk_errors(f"the artifacts in {target}"):
        shutil.copytree(source, place, symlinks=True, copy_function=_link_or_copy)
    _publish(place, target)
    return _content(target)


def _content(folder: Path) -> tuple[Artifact, ...]:
    entries = sorted(folder.iterdir()) if folder.is_dir() else ()
    return tuple(Artifact(entry.name, _size(entry)) for entry in entries)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or too many links
        shutil.copy2(source, target, follow_symlinks=False)


def _make_empty(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    with _disk_errors(f"the artifacts in {place}"):
        place.mkdir(mode=0o700, parents=True)


def _protect(folder: Path) -> None:
    """Let everybody read who gets here, and nobody write."""
    for path, _, files in os.walk(folder):
        Path(path).chmod(0o755)
        for name in files:
            file = Path(path, name)
            if not file.is_symlink():
                file.chmod(0o444 | file.stat().st_mode & 0o111)


def _size(path: Path) -> int:
    if path.is_symlink() or path.is_file():
        return path.lstat().st_size
    return sum(Path(folder, name).lstat().st_size for folder, _, files in os.walk(path) for name in files)


@contextmanager
def _disk_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackendError(
            Reason.INFRA_ERROR,
            f"{what} cannot be written: {error.strerror or error}",
            transient=True,
            hint="check the space and the permissions of the home directory",
        ) from None
