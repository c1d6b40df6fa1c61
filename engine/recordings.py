"""Runs as files: written by one person, opened by another, on any machine, without an engine.

The third part of the public face, beside `facade` and `upkeep`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HistoryError
from engine.facade import open_history
from engine.trees import remove_tree

if TYPE_CHECKING:
    from engine.history.reader import Reader
    from engine.history.recording_format import Manifest as Manifest
    from engine.history.recording_writer import Exported as Exported
    from engine.settings import Settings

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


async def export_run(
    history: Reader,
    settings: Settings,
    ref: str,
    target: Path | None = None,
    *,
    artifacts: bool = False,
    overwrite: bool = False,
    numbered: bool = False,
    progress: Callable[[int], None] = lambda events: None,
) -> Exported:
    """Write a run, with those that are part of it, into one file.

    Args:
        history: of the home; not closed.
        settings: of the home.
        ref: the run.
        target: the file, or a directory for it; None for the current one.
        artifacts: whether to take along what tasks left as artifacts.
        overwrite: whether a file that is there may be replaced.
        numbered: whether, in a directory, a name that is not taken yet is looked for.
        progress: told how many events have been written.

    Raises:
        UsageError: no such run; the file is there, or cannot be written.
        HistoryError: the history cannot be read.
    """
    from engine.history.recording_format import SUFFIX
    from engine.history.recording_writer import Places, write_recording

    run = await history.run(ref)
    place = target or Path()
    if await asyncio.to_thread(place.is_dir):
        stem = _UNFIT.sub("-", run.workflow).strip("-.")[:60] or "run"
        place = await asyncio.to_thread(_free, place, f"{stem}-{run.id}", SUFFIX, numbered=numbered)
    return await write_recording(
        history,
        Places(settings.logs, settings.artifacts),
        run.id,
        place,
        engine=version("agentainer"),
        artifacts=artifacts,
        overwrite=overwrite,
        progress=progress,
    )


def _free(folder: Path, stem: str, suffix: str, *, numbered: bool) -> Path:
    place, number = folder / f"{stem}{suffix}", 1
    while numbered and place.exists():
        number += 1
        place = folder / f"{stem}-{number}{suffix}"
    return place


class Recording:
    """Files that were opened together: what is in them can be read until they are closed."""

    def __init__(self, paths: Sequence[Path], manifests: Sequence[Manifest], settings: Settings) -> None:
        self.paths = tuple(paths)
        self.manifests = tuple(manifests)
        self.settings = settings
        self.history = open_history(settings)

    @classmethod
    def open(
        cls,
        *paths: Path,
        limit: int | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Recording:
        """Unpack files into one directory of its own; blocks until that is done.

        Args:
            paths: the files, no run in two of them.
            limit: bytes that are unpacked at most of each; None for the default.
            progress: told how many events of how many of a file have been taken.

        Raises:
            UsageError: one is no recording, damaged, of a newer version, or too large.
            HistoryError: there is no room for it.
        """
        from engine.history.recording_loader import Limits, load_recording
        from engine.settings import Settings

        try:
            home = Path(tempfile.mkdtemp(prefix="agentainer-recording-"))
        except OSError as error:
            raise HistoryError(f"there is no directory to unpack into: {error.strerror}") from error
        limits = Limits() if limit is None else Limits(total=limit)
        try:
            manifests = [load_recording(path, home, limits=limits, progress=progress) for path in paths]
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        return cls(paths, manifests, Settings(home=home))

    async def close(self) -> None:
        """Let go of it, and remove what was unpacked. Repeatable."""
        await self.history.close()
        await asyncio.to_thread(self.discard)

    def discard(self) -> None:
        """Remove what was unpacked, where nobody reads it any more. Repeatable."""
        with contextlib.suppress(OSError):
            remove_tree(self.settings.home)
