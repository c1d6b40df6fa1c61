"""Runs as files: written by one person, opened by another, on any machine, without an engine.

The third part of the public face, beside `facade` and `upkeep`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable
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
    """A file that was opened: its history can be read until it is closed, logs and artifacts too."""

    def __init__(self, path: Path, manifest: Manifest, settings: Settings) -> None:
        self.path = path
        self.manifest = manifest
        self.settings = settings
        self.history = open_history(settings)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        limit: int | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Recording:
        """Unpack a file into a directory of its own; blocks until that is done.

        Args:
            path: the file.
            limit: bytes that are unpacked at most; None for the default.
            progress: told how many events of how many have been taken.

        Raises:
            UsageError: it is no recording, damaged, of a newer version, or too large.
            HistoryError: there is no room for it.
        """
        from engine.history.recording_loader import Limits, load_recording
        from engine.settings import Settings

        try:
            home = Path(tempfile.mkdtemp(prefix="agentainer-recording-"))
        except OSError as error:
            raise HistoryError(f"{path} cannot be opened: no directory for it: {error.strerror}") from error
        try:
            limits = Limits() if limit is None else Limits(total=limit)
            manifest = load_recording(path, home, limits=limits, progress=progress)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        return cls(path, manifest, Settings(home=home))

    async def close(self) -> None:
        """Let go of it, and remove what was unpacked. Repeatable."""
        await self.history.close()
        await asyncio.to_thread(self.discard)

    def discard(self) -> None:
        """Remove what was unpacked, where nobody reads it any more. Repeatable."""
        with contextlib.suppress(OSError):
            remove_tree(self.settings.home)
