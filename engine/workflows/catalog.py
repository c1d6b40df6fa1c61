"""The workflows of a directory, kept up to date while people edit them.

What counts as a workflow file: `*.yaml`, `*.yml` and `*.json` directly in the directory, except hidden files
and editors' leavings. A YAML file is always listed, with its problems if it has any, since a mistake must not
make a workflow vanish. JSON files are used for so many other things that one is listed only if it speaks of
`"steps"`, or was a good workflow before.

A save that breaks a workflow keeps the last good plan beside the new problems.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import Problem, Severity, UsageError
from engine.workflows.loader import Loaded, load_text
from engine.workflows.plan import Plan
from engine.workflows.source import UnreadableError, printable, read_text
from engine.workflows.wording import advice, listing, quoted, show

SUFFIXES = (".yaml", ".yml", ".json")

# A burst of changes is over after 0.1 s of quiet, and is not waited for longer than 1 s.
_QUIET_MS = 100
_BURST_MS = 1000
# Without any notice the directory itself is looked at this often: it may have been replaced or unmounted.
_HEARTBEAT_MS = 5000
_MISSING_DELAY = 0.5


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One workflow file.

    Attributes:
        path: the file.
        name: the workflow's name; the file's, while no good version of it was seen.
        plan: of the last good version, None if there was none.
        problems: of the version that is there now.
        loaded_at: when this version was read, UTC.
    """

    path: Path
    name: str
    plan: Plan | None
    problems: tuple[Problem, ...]
    loaded_at: datetime

    @property
    def broken(self) -> bool:
        """Whether the file as it is now is refused (`plan`, if any, is of an earlier version)."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """What one reload changed, as paths; one burst of saves is one reload."""

    added: frozenset[Path] = frozenset()
    changed: frozenset[Path] = frozenset()
    removed: frozenset[Path] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def then(self, later: CatalogChange) -> CatalogChange:
        """This change and a later one as one."""
        known = self.added - later.removed
        back = self.removed & later.added
        return CatalogChange(
            added=(known | later.added) - back,
            changed=(self.changed | later.changed | back) - known - later.removed,
            removed=(self.removed | (later.removed - self.added)) - back,
        )


@dataclass(frozen=True, slots=True)
class _Version:
    """What was last seen of a file: the facts that change when it does, its text, what came of it."""

    facts: tuple[int, ...]
    text: str | None
    entry: CatalogEntry | None


class _Listener:
    """A reader of changes; what it has not taken yet is merged, so a slow one costs no memory."""

    def __init__(self) -> None:
        self._pending = CatalogChange()
        self._wake = asyncio.Event()
        self._over = False

    def tell(self, change: CatalogChange) -> None:
        self._pending = self._pending.then(change)
        self._wake.set()

    def finish(self) -> None:
        self._over = True
        self._wake.set()

    async def take(self) -> CatalogChange | None:
        await self._wake.wait()
        self._wake.clear()
        change, self._pending = self._pending, CatalogChange()
        if self._over:
            self._wake.set()
            return change or None
        return change


class WorkflowCatalog:
    """Watches one directory. Belongs to one event loop; files are read in a thread."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._versions: dict[Path, _Version] = {}
        self._entries: tuple[CatalogEntry, ...] = ()
        self._listeners: list[_Listener] = []
        self._reading = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self.problem = ""

    @property
    def entries(self) -> tuple[CatalogEntry, ...]:
        """The workflows now, by name."""
        return self._entries

    async def open(self) -> None:
        """Read the directory and begin to watch it.

        Raises:
            UsageError: there is no such directory, or it cannot be read.
        """
        await self.refresh()
        if self.problem:
            raise UsageError(self.problem, hint="give a directory that holds workflow files")
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.directory}")
        self._watcher.add_done_callback(lambda _: self._finish())

    async def close(self) -> None:
        """Stop watching; iterators over changes end."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None

    def _finish(self) -> None:
        for listener in self._listeners:
            listener.finish()

    def changes(self) -> AsyncIterator[CatalogChange]:
        """The changes from this call on; ends when the catalog is closed."""
        listener = _Listener()
        self._listeners.append(listener)
        if self._watcher is None or self._watcher.done():
            listener.finish()
        return self._follow(listener)

    async def _follow(self, listener: _Listener) -> AsyncIterator[CatalogChange]:
        try:
            while (change := await listener.take()) is not None:
                if change:
                    yield change
        finally:
            self._listeners.remove(listener)

    def find(self, name: str) -> CatalogEntry:
        """The workflow of that name, or else the file of that name, with or without its suffix.

        Raises:
            UsageError: there is none, or several; says which there are.
        """
        named = [entry for entry in self._entries if entry.name == name]
        if not named:
            named = [entry for entry in self._entries if name in (entry.path.name, entry.path.stem)]
        if len(named) == 1:
            return named[0]
        shown = printable(str(self.directory))
        if named:
            files = listing(printable(str(entry.path)) for entry in named)
            raise UsageError(
                f"several workflows are called {show(name)}: {files}", hint="give the file instead"
            )
        names = dict.fromkeys(entry.name for entry in self._entries)
        raise UsageError(
            f"there is no workflow {show(name)} in {shown}: {advice(name, names, kind='workflows there')}"
        )

    async def refresh(self, touched: Collection[Path] = ()) -> CatalogChange:
        """Read what has changed, and all of `touched`; tells the listeners and returns what came of it."""
        async with self._reading:
            before = self._entries
            versions, problem = await asyncio.to_thread(
                _read_directory, self.directory, self._versions, touched
            )
            self._versions, self.problem = versions, problem
            self._entries = _listed(versions.values())
            change = _difference(before, self._entries)
        if change:
            for listener in self._listeners:
                listener.tell(change)
        return change

    async def _watch(self) -> None:
        """Follow the directory for as long as the catalog is open, whatever happens to the directory."""
        force_polling = False
        while True:
            places = await asyncio.to_thread(_places, self.directory)
            if not places:
                await self.refresh()
                await asyncio.sleep(_MISSING_DELAY)
                continue
            try:
                await self._watch_places(places, force_polling=force_polling)
            except (OSError, RuntimeError):
                # Gone between the look and the watch; or there are no notices to be had (no watches left on
                # this machine, a file system without them), then the files are looked at in turn.
                force_polling = not force_polling
                await asyncio.sleep(_MISSING_DELAY)

    def _matters(self, path: Path) -> bool:
        """Whether a notice about `path` can be about a workflow: logs beside them may change all the time."""
        return path.parent != self.directory or _is_candidate(path.name)

    async def _watch_places(self, places: dict[Path, tuple[int, int]], *, force_polling: bool) -> None:
        """Reload at every notice, until the directories that need watching are others than `places`."""
        from watchfiles import awatch  # not needed to load a single file

        batches = awatch(
            *places,
            watch_filter=None,
            recursive=False,
            step=_QUIET_MS,
            debounce=_BURST_MS,
            rust_timeout=_HEARTBEAT_MS,
            yield_on_timeout=True,
            force_polling=force_polling,
            ignore_permission_denied=True,
        )
        async with aclosing(batches):
            coming = asyncio.ensure_future(anext(batches))
            try:
                # The watch stands after the generator's first step; what was saved before it is read now.
                await asyncio.sleep(0)
                await self.refresh()
                while await asyncio.to_thread(_places, self.directory) == places:
                    touched = {Path(path) for _, path in await coming}
                    coming = asyncio.ensure_future(anext(batches))
                    if not touched or any(self._matters(path) for path in touched):
                        await self.refresh(touched)
            finally:
                coming.cancel()
                with suppress(asyncio.CancelledError, OSError, RuntimeError, StopAsyncIteration):
                    await coming


def _places(directory: Path) -> dict[Path, tuple[int, int]]:
    """The directories to watch with their identities: the directory, and where symbolic links in it lead."""
    places: dict[Path, tuple[int, int]] = {}
    try:
        targets = {directory}
        with os.scandir(directory) as found:
            targets.update(
                Path(os.path.realpath(one.path)).parent
                for one in found
                if one.is_symlink() and _is_candidate(one.name)
            )
        for target in sorted(targets, key=lambda path: path != directory):
            with suppress(OSError):
                facts = target.stat()
                places[target] = (facts.st_dev, facts.st_ino)
    except OSError:
        return {}
    return places if directory in places else {}


def _is_candidate(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith((".", "#", "~"))


def _read_directory(
    directory: Path, known: dict[Path, _Version], touched: Collection[Path]
) -> tuple[dict[Path, _Version], str]:
    """The files now; those whose facts are as before are not read again. Runs in a thread."""
    try:
        with os.scandir(directory) as found:
            names = sorted(one.name for one in found if _is_candidate(one.name))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return {}, f"the directory {printable(str(directory))} cannot be read: {why}"
    named = {path.name for path in touched}
    real = {os.path.realpath(path) for path in touched}
    versions: dict[Path, _Version] = {}
    for name in names:
        path = directory / name
        facts = _facts(path)
        if facts is None:
            continue
        before = known.get(path)
        notice = name in named or (path.is_symlink() and os.path.realpath(path) in real)
        if before is not None and before.facts == facts and not notice:
            versions[path] = before
        else:
            versions[path] = _read_version(path, facts, before)
    return versions, ""


def _facts(path: Path) -> tuple[int, ...] | None:
    """What changes when a file does; None for a directory. A file that cannot be looked at has its errno."""
    try:
        facts = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    if stat.S_ISDIR(facts.st_mode):
        return None
    return (facts.st_dev, facts.st_ino, facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def _read_version(path: Path, facts: tuple[int, ...], before: _Version | None) -> _Version:
    """Read a file again; the last good plan of it stays."""
    last = before.entry if before is not None else None
    text: str | None = None
    try:
        text = read_text(path)
    except UnreadableError as error:
        loaded = Loaded(None, (Problem(printable(str(path)), 0, 0, str(error)),))
        if last is not None and last.problems == loaded.problems:
            return _Version(facts, None, last)
    else:
        if before is not None and text == before.text:
            return replace(before, facts=facts)
        loaded = load_text(text, path)
    if (
        path.suffix.lower() == ".json"
        and loaded.plan is None
        and last is None
        and '"steps"' not in (text or "")
    ):
        return _Version(facts, text, None)
    plan = loaded.plan or (last.plan if last is not None else None)
    name = plan.workflow if plan is not None else path.stem
    return _Version(facts, text, CatalogEntry(path, name, plan, loaded.problems, datetime.now(UTC)))


def _listed(versions: Iterable[_Version]) -> tuple[CatalogEntry, ...]:
    """The entries by name, each that shares its name with others warned about it."""
    entries = [version.entry for version in versions if version.entry is not None]
    by_name: dict[str, list[CatalogEntry]] = {}
    for entry in entries:
        if entry.plan is not None:
            by_name.setdefault(entry.name, []).append(entry)
    listed = []
    for entry in sorted(entries, key=lambda entry: (entry.name.casefold(), entry.path)):
        others = [one for one in by_name.get(entry.name, ()) if one is not entry and entry.plan is not None]
        if others:
            files = listing(printable(one.path.name) for one in others)
            warning = Problem(
                printable(str(entry.path)),
                0,
                0,
                f"the name {quoted(entry.name)} is also used by {files}: rename one, or run it by its file",
                Severity.WARNING,
            )
            entry = replace(entry, problems=(*entry.problems, warning))
        listed.append(entry)
    return tuple(listed)


def _difference(before: Iterable[CatalogEntry], after: Iterable[CatalogEntry]) -> CatalogChange:
    old = {entry.path: entry for entry in before}
    new = {entry.path: entry for entry in after}
    return CatalogChange(
        added=frozenset(new.keys() - old.keys()),
        changed=frozenset(path for path in new.keys() & old.keys() if new[path] != old[path]),
        removed=frozenset(old.keys() - new.keys()),
    )
