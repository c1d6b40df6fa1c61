"""Workflow files by name: which files of a directory count, and which of them a step means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Severity
from engine.workflows.loader import Loaded, load, load_text
from engine.workflows.plan import Plan
from engine.workflows.source import UnreadableError, printable, read_text
from engine.workflows.wording import advice, listing, show

SUFFIXES = (".yaml", ".yml", ".json")

# Files that are looked into for the advice about a name that nothing has.
_LOOKED_INTO = 200


class UnfitError(Exception):
    """No workflow can be had under a name; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A workflow file and what came of loading it."""

    path: Path
    loaded: Loaded


def is_candidate(name: str) -> bool:
    """Whether a file of that name is looked into at all: not hidden, no editor's leavings."""
    return name.lower().endswith(SUFFIXES) and not name.startswith((".", "#", "~"))


def usable(name: str, loaded: Loaded) -> Plan:
    """The plan of the workflow that was found under `name`.

    Raises:
        UnfitError: it is broken; says how.
    """
    if loaded.plan is not None:
        return loaded.plan
    first = next(one for one in loaded.problems if one.severity is Severity.ERROR)
    raise UnfitError(f"the workflow {show(name)} cannot run: {first}")


def named(name: str, candidates: Iterable[Candidate]) -> Plan | None:
    """The workflow of that name, else the one whose file is called so, else None.

    Raises:
        UnfitError: there are several, or it is broken.
    """
    known = list(candidates)
    found = [one for one in known if one.loaded.name == name]
    found = found or [one for one in known if one.path.stem == name]
    if len(found) > 1:
        files = listing(printable(str(one.path)) for one in found)
        raise UnfitError(f"several workflows are called {show(name)}: {files}: rename all but one")
    return usable(name, found[0].loaded) if found else None


def unknown(name: str, where: str, candidates: Iterable[Candidate]) -> UnfitError:
    """The error about a name that no workflow in `where` has."""
    names: dict[str, None] = {}
    broken = []
    for one in candidates:
        names[one.loaded.name or one.path.stem] = None
        if one.loaded.plan is None:
            broken.append(printable(one.path.name))
    hint = f" (with errors: {listing(broken)})" if broken else ""
    return UnfitError(
        f"there is no workflow {show(name)} in {where}: {advice(name, names, kind='workflows there')}{hint}"
    )


class WorkflowDirectories:
    """Finds workflows in directories, the first one that has the name; reads only what it must."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = places
        self._texts: dict[Path, str | None] = {}
        self._loaded: dict[Path, Loaded] = {}

    def find(self, name: str) -> Plan:
        """The workflow of that name, or whose file is called so.

        Raises:
            UnfitError: there is none, there are several, or it is broken.
        """
        for place in self._places:
            candidates = [
                Candidate(path, self._load(path))
                for path in self._files(place)
                if path.stem == name or self._mentions(path, name)
            ]
            if (plan := named(name, candidates)) is not None:
                return plan
        paths = [path for place in self._places for path in self._files(place)]
        where = " or ".join(printable(str(place)) for place in self._places)
        raise unknown(name, where, [Candidate(path, self._load(path)) for path in paths[:_LOOKED_INTO]])

    def _files(self, place: Path) -> list[Path]:
        try:
            with os.scandir(place) as found:
                files = sorted(one.name for one in found if is_candidate(one.name) and not one.is_dir())
        except OSError:
            return []  # what is not there has no workflows
        return [place / name for name in files if self._is_workflow(place / name)]

    def _is_workflow(self, path: Path) -> bool:
        """JSON files are used for many other things; a YAML file counts, with its problems if it has any."""
        return path.suffix.lower() != ".json" or '"steps"' in (self._text(path) or "")

    def _text(self, path: Path) -> str | None:
        if path not in self._texts:
            try:
                self._texts[path] = read_text(path)
            except UnreadableError:
                self._texts[path] = None
        return self._texts[path]

    def _mentions(self, path: Path, name: str) -> bool:
        """Whether a file can be the workflow of that name: a text that has no such word cannot.

        Letters beyond ASCII may be written as escapes, so then every file can.
        """
        return not name.isascii() or name.split()[0] in (self._text(path) or "")

    def _load(self, path: Path) -> Loaded:
        if path not in self._loaded:
            text = self._text(path)
            self._loaded[path] = load(path) if text is None else load_text(text, path)
        return self._loaded[path]
