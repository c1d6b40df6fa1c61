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
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UsageError
from engine.workflows.directory import CatalogEntry as CatalogEntry
from engine.workflows.directory import Version, listed, read_directory
from engine.workflows.finding import SUFFIXES as SUFFIXES
from engine.workflows.finding import is_candidate
from engine.workflows.linking import MAX_DEPTH
from engine.workflows.source import printable
from engine.workflows.wording import advice, listing, show

# A burst of changes is over after 0.1 s of quiet, and is not waited for longer than 1 s.
_QUIET_MS = 100
_BURST_MS = 1000
# Without any notice the directory itself is looked at this often: it may have been replaced or unmounted.
_HEARTBEAT_MS = 5000
_MISSING_DELAY = 0.5


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

    def __init__(self, directory: Path, max_depth: int = MAX_DEPTH) -> None:
        """Workflows that run workflows may do so `max_depth` levels deep."""
        self.directory = directory
        self._max_depth = max_depth
        self._versions: dict[Path, Version] = {}
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
                read_directory, self.directory, self._versions, touched, self._max_depth
            )
            self._versions, self.problem = versions, problem
            self._entries = listed(versions.values())
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
        return path.parent != self.directory or is_candidate(path.name)

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
                if one.is_symlink() and is_candidate(one.name)
            )
        for target in sorted(targets, key=lambda path: path != directory):
            with suppress(OSError):
                facts = target.stat()
                places[target] = (facts.st_dev, facts.st_ino)
    except OSError:
        return {}
    return places if directory in places else {}


def _difference(before: Iterable[CatalogEntry], after: Iterable[CatalogEntry]) -> CatalogChange:
    old = {entry.path: entry for entry in before}
    new = {entry.path: entry for entry in after}
    return CatalogChange(
        added=frozenset(new.keys() - old.keys()),
        changed=frozenset(path for path in new.keys() & old.keys() if new[path] != old[path]),
        removed=frozenset(old.keys() - new.keys()),
    )
