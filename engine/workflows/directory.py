"""One look at a directory of workflows: which files there are, what came of each, and of all together.

A save that breaks a workflow keeps the last good plan beside the new problems. A workflow that runs others is
linked again whenever anything in the directory has changed, and is as broken as what it runs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import Problem, Severity
from engine.workflows.finding import Candidate, is_candidate, named, unknown
from engine.workflows.linking import linked
from engine.workflows.loader import Loaded, load_text
from engine.workflows.plan import Plan
from engine.workflows.source import UnreadableError, printable, read_text
from engine.workflows.wording import listing, quoted


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One workflow file.

    Attributes:
        path: the file.
        name: the workflow's name; the file's, while no good version of it was seen.
        plan: of the last good version, None if there was none; linked with the workflows that it runs.
        problems: of the version that is there now.
        loaded_at: when this version was read, or what it runs has changed, UTC.
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
class Version:
    """What was last seen of a file.

    Attributes:
        facts: what changes when the file does.
        text: None where it could not be read.
        loaded: what came of it by itself; None for a file that is no workflow at all.
        linked: what came of it together with the other files.
        entry: as the catalog shows it; of the version before, until this one is linked.
    """

    facts: tuple[int, ...]
    text: str | None
    loaded: Loaded | None
    linked: Loaded | None = None
    entry: CatalogEntry | None = None


def read_directory(
    directory: Path, known: dict[Path, Version], touched: Collection[Path], max_depth: int
) -> tuple[dict[Path, Version], str]:
    """The files now, and why the directory cannot be read, or "".

    Files whose facts are as they were in `known` are not read again, unless they are among the `touched`.
    """
    try:
        with os.scandir(directory) as found:
            names = sorted(one.name for one in found if is_candidate(one.name))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return {}, f"the directory {printable(str(directory))} cannot be read: {why}"
    named_so = {path.name for path in touched}
    real = {os.path.realpath(path) for path in touched}
    versions: dict[Path, Version] = {}
    for name in names:
        path = directory / name
        facts = _facts(path)
        if facts is None:
            continue
        before = known.get(path)
        notice = name in named_so or (path.is_symlink() and os.path.realpath(path) in real)
        if before is not None and before.facts == facts and not notice:
            versions[path] = before
        else:
            versions[path] = _read_version(path, facts, before)
    if versions.keys() == known.keys() and all(versions[path] is known[path] for path in versions):
        return known, ""
    return _link_all(directory, versions, max_depth), ""


def _facts(path: Path) -> tuple[int, ...] | None:
    """What changes when a file does; None for a directory. A file that cannot be looked at has its errno."""
    try:
        facts = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    if stat.S_ISDIR(facts.st_mode):
        return None
    return (facts.st_dev, facts.st_ino, facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def _read_version(path: Path, facts: tuple[int, ...], before: Version | None) -> Version:
    """Read a file again."""
    text: str | None = None
    try:
        text = read_text(path)
    except UnreadableError as error:
        loaded = Loaded(None, (Problem(printable(str(path)), 0, 0, str(error)),))
        if before is not None and before.loaded == loaded:
            return replace(before, facts=facts)
    else:
        if before is not None and text == before.text:
            return replace(before, facts=facts)
        loaded = load_text(text, path)
    last = before.entry if before is not None else None
    other = path.suffix.lower() == ".json" and loaded.plan is None and '"steps"' not in (text or "")
    if other and last is None:
        return Version(facts, text, None)
    return Version(facts, text, loaded, None, last)


def _link_all(directory: Path, versions: dict[Path, Version], max_depth: int) -> dict[Path, Version]:
    """The versions with their entries as of now; what has not changed keeps its entry."""
    candidates = [
        Candidate(path, version.loaded) for path, version in versions.items() if version.loaded is not None
    ]
    found: dict[str, Plan] = {}

    def find(name: str) -> Plan:
        if name not in found:
            plan = named(name, candidates)
            if plan is None:
                raise unknown(name, printable(str(directory)), candidates)
            found[name] = plan
        return found[name]

    return {
        path: version
        if version.loaded is None
        else _with_entry(path, version, linked(version.loaded, find, max_depth))
        for path, version in versions.items()
    }


def _with_entry(path: Path, version: Version, now: Loaded) -> Version:
    if version.linked == now:
        return version
    last = version.entry
    plan = now.plan or (last.plan if last is not None else None)
    shown = plan or (version.loaded.plan if version.loaded is not None else None)
    name = shown.workflow if shown is not None else path.stem
    entry = CatalogEntry(path, name, plan, now.problems, datetime.now(UTC))
    return replace(version, linked=now, entry=entry)


def listed(versions: Iterable[Version]) -> tuple[CatalogEntry, ...]:
    """The entries by name, each that shares its name with others warned about it."""
    entries = [version.entry for version in versions if version.entry is not None]
    by_name: dict[str, list[CatalogEntry]] = {}
    for entry in entries:
        if entry.plan is not None:
            by_name.setdefault(entry.name, []).append(entry)
    shown = []
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
        shown.append(entry)
    return tuple(shown)
