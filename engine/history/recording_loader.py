"""Opening a file that a run was exported to, made by anyone: its runs become a history in a home of its own.

Nothing in the file is believed. Sizes are counted before anything is unpacked, names are taken apart and put
together again below the home, events go through the same checks as the engine's own and some more.
"""

from __future__ import annotations

import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import IO, Any

from engine import strict_json
from engine.clock import isoformat, parse_time
from engine.errors import HistoryError, IllegalTransitionError
from engine.events import Event, EventType
from engine.history.database import connect_writer, explain
from engine.history.event_shapes import check_event
from engine.history.logs import log_file
from engine.history.migrations import migrate
from engine.history.moves import to_json
from engine.history.projection import EVENT_COLUMNS, project
from engine.history.recording_format import (
    ARTIFACTS,
    DOCUMENT,
    EVENTS,
    EXPECTED,
    LOGS,
    MANIFEST,
    MANIFEST_LIMIT,
    Manifest,
    RecordedRun,
    RecordingError,
    damaged,
    read_manifest,
)

_PORTION = 1 << 18
_BATCH = 2_000
_INSERT = f"INSERT INTO events ({EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_LARGEST_SEQ = 1 << 52
# Flags of an entry that `zipfile` cannot read: patched data, strong encryption.
_FOREIGN = 0x20 | 0x40
_BAD_EVENT = (IllegalTransitionError, LookupError, TypeError, ValueError, OverflowError, AttributeError)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is unpacked at most: bytes of everything, of one event and of one document; how many entries."""

    total: int = 4 << 30
    event: int = 64 << 20
    document: int = 16 << 20
    entries: int = 500_000


def load_recording(
    path: Path,
    home: Path,
    *,
    limits: Limits | None = None,
    progress: Progress = lambda done, total: None,
) -> Manifest:
    """Make the history, logs and artifacts of a recording in `home`, beside those of others that are there.

    `home` is empty or has what this made of other files: their events stand before those of this one.

    Raises:
        RecordingError: the file is no recording, damaged, of a newer version, too large, or has a run that
            is there.
        HistoryError: the disk does not take it.
    """
    bounds = limits or Limits()
    try:
        with _opened(path) as archive:
            entries = _entries(archive, path, bounds, home)
            manifest = _manifest(archive, entries, path)
            loader = _Loader(path, archive, entries, home, bounds)
            loader.take_history(manifest, progress)
            loader.take_files(manifest)
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError) as error:
        raise damaged(path, f"it is damaged ({error})") from error
    except OSError as error:
        raise HistoryError(f"{path} cannot be unpacked below {home}: {error.strerror or error}") from error
    return manifest


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise RecordingError(
            f"{path} is not a recording, or only the beginning of one", hint=EXPECTED
        ) from error
    except (OSError, ValueError, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or error
        raise RecordingError(f"{path} cannot be read: {why}", hint=EXPECTED) from error
    with archive:
        yield archive


def _entries(archive: zipfile.ZipFile, path: Path, limits: Limits, home: Path) -> dict[str, zipfile.ZipInfo]:
    """The entries by name, after everything has been looked at that can be known without unpacking."""
    infos = archive.infolist()
    if len(infos) > limits.entries:
        raise damaged(path, f"it has {len(infos)} entries; {limits.entries} are the most")
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if info.flag_bits & 1:
            raise damaged(path, "it is encrypted")
        if info.flag_bits & _FOREIGN or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise damaged(path, f"{info.filename[:80]!r} is packed in a way that recordings are not")
        if info.filename in entries:
            raise damaged(path, f"it has {info.filename[:80]!r} twice")
        entries[info.filename] = info
    total = sum(info.file_size for info in infos)
    if total > limits.total:
        raise RecordingError(
            f"{path} claims to hold {total} bytes; {limits.total} are unpacked at most",
            hint="set --limit (in GiB) if you trust it",
        )
    free = shutil.disk_usage(home).free
    if total > free:
        raise HistoryError(
            f"{path} holds {total} bytes, but only {free} are free below {home}",
            hint="make room, or set TMPDIR to a directory with more",
        )
    return entries


def _manifest(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], path: Path) -> Manifest:
    info = entries.get(MANIFEST)
    if info is None:
        raise RecordingError(f"{path} is not a recording: it has no {MANIFEST}", hint=EXPECTED)
    if info.file_size > MANIFEST_LIMIT:
        raise damaged(path, f"its {MANIFEST} is larger than {MANIFEST_LIMIT} bytes")
    return read_manifest(archive.read(info), path)


class _Loader:
    def __init__(
        self,
        path: Path,
        archive: zipfile.ZipFile,
        entries: dict[str, zipfile.ZipInfo],
        home: Path,
        limits: Limits,
    ) -> None:
        self._path = path
        self._archive = archive
        self._entries = entries
        self._home = home
        self._limits = limits
        self._taken = 0
        self._shift = 0  # between the numbers of events there and here

    # -- files ----------------------------------------------------------------------------------------

    def take_files(self, manifest: Manifest) -> None:
        """Unpack logs and artifacts of the runs."""
        runs = {run.id for run in manifest.runs}
        for name, info in self._entries.items():
            if info.is_dir():
                continue
            if name.startswith(LOGS):
                self._unpack(info, self._log_path(name, runs))
            elif name.startswith(ARTIFACTS):
                self._unpack(info, self._artifact_path(name, runs))

    def _log_path(self, name: str, runs: set[str]) -> Path:
        relative = name.removeprefix(LOGS)
        try:
            path = log_file(self._home / "logs", relative)
        except HistoryError:
            raise self._misplaced(name) from None
        if relative.partition("/")[0] not in runs or "/" not in relative:
            raise self._misplaced(name)
        return path

    def _artifact_path(self, name: str, runs: set[str]) -> Path:
        parts = name.removeprefix(ARTIFACTS).split("/")
        bad = any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts)
        if bad or parts[0] not in runs or len(parts) < 2:
            raise self._misplaced(name)
        return self._home.joinpath("artifacts", *parts)

    def _misplaced(self, name: str) -> RecordingError:
        return damaged(self._path, f"{name[:80]!r} is no place for a file in a recording")

    def _unpack(self, info: zipfile.ZipInfo, target: Path) -> None:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._archive.open(info) as packed, target.open("xb") as file:
            while data := packed.read(_PORTION):
                file.write(data)

    # -- history --------------------------------------------------------------------------------------

    def take_history(self, manifest: Manifest, progress: Progress) -> None:
        """Make the history database."""
        database = self._home / "history.db"
        total = sum(run.events for run in manifest.runs)
        try:
            with closing(connect_writer(database)) as connection:
                connection.execute("PRAGMA synchronous = OFF")  # it is thrown away in the end
                connection.execute("PRAGMA journal_mode = WAL")
                migrate(connection, database)
                self._shift = _last_seq(connection)
                self._refuse_known(connection, manifest)
                for run in manifest.runs:
                    self._take_run(connection, run, lambda: progress(self._taken, total))
                self._take_documents(connection, manifest)
        except sqlite3.Error as error:
            raise explain(error, database) from error

    def _refuse_known(self, connection: sqlite3.Connection, manifest: Manifest) -> None:
        for run in manifest.runs:
            if connection.execute("SELECT 1 FROM runs WHERE id = ?", (run.id,)).fetchone():
                raise RecordingError(
                    f"{self._path} has run {run.id}, and so has another of the files",
                    hint="open each run once",
                )

    def _take_documents(self, connection: sqlite3.Connection, manifest: Manifest) -> None:
        with _transaction(connection):
            for place, document in enumerate(manifest.documents):
                info = self._entry(DOCUMENT.format(place))
                if info.file_size > self._limits.document:
                    raise damaged(self._path, f"{info.filename!r} is too large for a workflow document")
                text = self._archive.read(info).decode("utf-8", "replace")
                connection.execute(
                    "INSERT OR IGNORE INTO documents (digest, name, path, text) VALUES (?, ?, ?, ?)",
                    (document.digest, document.name, document.path, text),
                )

    def _entry(self, name: str) -> zipfile.ZipInfo:
        if name not in self._entries:
            raise damaged(self._path, f"{name!r} is missing")
        return self._entries[name]

    def _take_run(
        self, connection: sqlite3.Connection, run: RecordedRun, progress: Callable[[], None]
    ) -> None:
        info = self._entry(EVENTS.format(run.id))
        items: dict[str, int] = {}
        count = last = 0
        with self._archive.open(info) as file:
            lines = self._lines(file, run)
            while True:
                batch = [line for _, line in zip(range(_BATCH), lines, strict=False)]
                if not batch:
                    break
                with _transaction(connection):
                    for text in batch:
                        count += 1
                        last = self._take_event(connection, run, text, items, (count, last))
                self._taken += len(batch)
                progress()
        if count != run.events:
            raise damaged(self._path, f"run {run.id} has {count} events, its manifest says {run.events}")

    def _lines(self, file: IO[bytes], run: RecordedRun) -> Iterator[bytes]:
        while line := file.readline(self._limits.event + 1):
            if len(line) > self._limits.event:
                raise damaged(
                    self._path, f"an event of run {run.id} is larger than {self._limits.event} bytes"
                )
            yield line

    def _take_event(
        self,
        connection: sqlite3.Connection,
        run: RecordedRun,
        text: bytes,
        items: dict[str, int],
        place: tuple[int, int],
    ) -> int:
        """Check an event and write it; returns its number."""
        number, last = place
        try:
            event = _event(text, run.id)
            if not last < event.seq < _LARGEST_SEQ:
                raise ValueError(f"its number {event.seq} does not follow {last}")
            if (number == 1) != (event.type is EventType.RUN_CREATED):
                raise ValueError("a run begins with run.created, and only once")
            check_event(event)
            if event.type is EventType.STEP_EXPANDED:
                items[event.step_id or ""] = len(event.data["values"])
            if event.item is not None and not 0 <= event.item < items.get(event.step_id or "", 0):
                raise ValueError(f"there is no item {event.item}")
            event = event._replace(seq=event.seq + self._shift)
            stamp = isoformat(event.time)
            data = {name: value for name, value in event.data.items() if name != "document"}
            connection.execute(
                _INSERT,
                (
                    event.seq,
                    event.run_id,
                    event.type.value,
                    stamp,
                    event.step_id,
                    event.item,
                    event.attempt,
                    to_json(data),
                ),
            )
            project(connection, event._replace(data=data), stamp)
        except _BAD_EVENT as error:
            raise damaged(self._path, f"event {number} of run {run.id} cannot be: {error}") from None
        except sqlite3.IntegrityError as error:
            raise damaged(self._path, f"event {number} of run {run.id} is there twice ({error})") from None
        return event.seq - self._shift


def _last_seq(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])


def _event(text: bytes, run_id: str) -> Event:
    """An event from its line; its data is not looked at yet.

    Raises:
        ValueError: it is none.
    """
    data: Any = strict_json.parse(text.decode("utf-8"))
    if not isinstance(data, dict) or not isinstance(data.get("data"), dict):
        raise ValueError("it is not an event")
    seq, step_id = data.get("seq"), data.get("step_id")
    if not isinstance(seq, int) or isinstance(seq, bool):
        raise ValueError("it has no number")
    if not isinstance(step_id, str | None):
        raise ValueError("its step is not a text")
    for name in ("item", "attempt"):
        value = data.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise ValueError(f"its {name} is not a number")
    moment = parse_time(str(data.get("time")))
    if moment.tzinfo is None:
        raise ValueError("its time has no zone")
    return Event(
        run_id,
        EventType(str(data.get("type"))),
        moment.astimezone(UTC),
        step_id,
        data.get("item"),
        data.get("attempt"),
        data["data"],
        seq,
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
