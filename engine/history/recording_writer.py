"""Writing a run into one file: page by page, in bounded memory, and the file is there whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from engine.clock import isoformat
from engine.errors import UsageError
from engine.events import Event, EventType
from engine.history.logs import log_file
from engine.history.reader import Reader
from engine.history.recording_format import (
    ARTIFACTS,
    DOCUMENT,
    EVENTS,
    LOGS,
    MANIFEST,
    Manifest,
    RecordedDocument,
    RecordedRun,
)

_PAGE = 1_000
_PORTION = 1 << 18
# Artifacts that are taken along, of all runs together.
ARTIFACTS_LIMIT = 1 << 30
_DEEPEST = 64

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: where, how large, and what is in it."""

    path: Path
    size: int
    events: int
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of runs are."""

    logs: Path
    artifacts: Path


async def write_recording(
    history: Reader,
    places: Places,
    ref: str,
    target: Path,
    *,
    engine: str,
    artifacts: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda events: None,
) -> Exported:
    """Write a run, with all that are part of it, into `target`.

    Args:
        history: that knows the run.
        places: where its files are.
        ref: the run.
        target: the file.
        engine: the version of this program.
        artifacts: whether to take artifacts along, up to `ARTIFACTS_LIMIT` bytes.
        overwrite: whether a file that is there may be replaced.
        progress: told how many events have been written.

    Raises:
        UsageError: no such run; the file is there, or cannot be written.
        HistoryError: the history cannot be read.
    """
    run = await history.run(ref)
    family = (await history.families([run.id]))[run.id]
    if not overwrite and await asyncio.to_thread(target.exists):
        raise UsageError(f"{target} is there already", hint="give another name, or --force to replace it")
    writing = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part = await asyncio.to_thread(_private_file, writing)
        with part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=5) as archive:
            journals = _Journals(history, archive, progress)
            runs = tuple([await journals.write(run_id) for run_id in family])
            documents = tuple(journals.documents.values())
            for place, document in enumerate(documents):
                text = await history.document(document.digest)
                archive.writestr(DOCUMENT.format(place), text.encode("utf-8", "surrogatepass"))
            files = _Files(archive, places, artifacts=artifacts)
            for run_id in family:
                await asyncio.to_thread(files.add, run_id)
            manifest = Manifest(
                engine,
                isoformat(datetime.now(UTC)),
                run.id,
                run.workflow,
                run.status,
                runs,
                documents,
                artifacts,
                tuple(files.left_out),
            )
            archive.writestr(MANIFEST, manifest.to_text())
        size = (await asyncio.to_thread(writing.stat)).st_size
        await asyncio.to_thread(writing.replace, target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(writing.unlink, missing_ok=True)
    return Exported(target, size, journals.count, manifest)


class _Journals:
    """Writes the events of runs, and notes the documents that they name."""

    def __init__(self, history: Reader, archive: zipfile.ZipFile, progress: Progress) -> None:
        self._history = history
        self._archive = archive
        self._progress = progress
        self.count = 0
        self.documents: dict[str, RecordedDocument] = {}

    async def write(self, run_id: str) -> RecordedRun:
        written = after = 0
        with self._archive.open(_entry(EVENTS.format(run_id)), "w", force_zip64=True) as file:
            while page := await self._history.events(run_id, after=after, limit=_PAGE):
                await asyncio.to_thread(_write_events, file, page)
                for event in page:
                    self._note(event)
                after, written = page[-1].seq, written + len(page)
                self.count += len(page)
                self._progress(self.count)
        return RecordedRun(run_id, written)

    def _note(self, event: Event) -> None:
        if event.type is not EventType.RUN_CREATED:
            return
        named = [(event.data.get("workflow"), event.data), *(event.data.get("children") or {}).items()]
        for name, data in named:
            digest = data["digest"]
            self.documents.setdefault(digest, RecordedDocument(digest, str(name), data.get("path")))


def _private_file(path: Path) -> IO[bytes]:
    """A new file that nobody else has ever been able to open."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b")


def _write_events(file: IO[bytes], events: Iterable[Event]) -> None:
    file.write(b"".join(_line(event) for event in events))


def _line(event: Event) -> bytes:
    fields: dict[str, Any] = {"seq": event.seq, "time": isoformat(event.time), "type": event.type.value}
    for name in ("step_id", "item", "attempt"):
        if (value := getattr(event, name)) is not None:
            fields[name] = value
    return json.dumps({**fields, "data": dict(event.data)}, separators=(",", ":")).encode() + b"\n"


class _Files:
    """Writes the logs and artifacts of runs; links are never followed, and what cannot be read is noted."""

    def __init__(self, archive: zipfile.ZipFile, places: Places, *, artifacts: bool) -> None:
        self._archive = archive
        self._places = places
        self._room = ARTIFACTS_LIMIT if artifacts else 0
        self.left_out: list[str] = []

    def add(self, run_id: str) -> None:
        for path, parts in _files_below(log_file(self._places.logs, run_id), deepest=1):
            self._copy(path, f"{LOGS}{run_id}/{'/'.join(parts)}")
        if not self._room:
            return
        for path, parts in _files_below(log_file(self._places.artifacts, run_id), deepest=_DEEPEST):
            name = f"{ARTIFACTS}{run_id}/{'/'.join(parts)}"
            size = path.lstat().st_size
            if size > self._room:
                self.left_out.append(f"{name}: too large")
                continue
            self._room -= size
            self._copy(path, name)

    def _copy(self, path: Path, name: str) -> None:
        """Copy what there is of a file at this moment; it may grow meanwhile."""
        if not _is_text(name):
            self.left_out.append(f"{name.encode('utf-8', 'replace').decode()}: its name is not text")
            return
        try:
            source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            self.left_out.append(f"{name}: {error.strerror}")
            return
        with os.fdopen(source, "rb") as file:
            left = os.fstat(file.fileno()).st_size
            with self._archive.open(_entry(name), "w", force_zip64=True) as copy:
                while left > 0 and (data := file.read(min(left, _PORTION))):
                    copy.write(data)
                    left -= len(data)


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry that is written piece by piece, of now."""
    year, month, day, hour, minute, second, *_ = time.localtime()
    info = zipfile.ZipInfo(name, (year, month, day, hour, minute, second))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _files_below(directory: Path, *, deepest: int) -> Iterator[tuple[Path, Sequence[str]]]:
    """The regular files below a directory with the parts of their names, in a fixed order."""
    left: list[tuple[Path, tuple[str, ...]]] = [(directory, ())]
    while left:
        folder, parts = left.pop()
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            continue  # no logs, or no artifacts
        for path in paths:
            name = path.name
            with contextlib.suppress(OSError):
                mode = path.lstat().st_mode
                if stat.S_ISREG(mode):
                    yield path, (*parts, name)
                elif stat.S_ISDIR(mode) and len(parts) + 1 < deepest:
                    left.append((path, (*parts, name)))
