"""Loading a workflow: from a file or a text to a Plan, or to everything that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import DocumentError, Problem
from engine.workflows.checking import check
from engine.workflows.compiling import Compiler
from engine.workflows.plan import Plan
from engine.workflows.planner import make_plan
from engine.workflows.source import UnreadableError, decode, digest_of, parse, printable, read_text
from engine.workflows.tree import Findings, Scalar

TEXT = "<text>"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of loading: a plan where there is no error, and every problem in the order of the text.

    `name` is what the document calls itself, known without a plan too, as long as it can be read at all.
    """

    plan: Plan | None
    problems: tuple[Problem, ...]
    name: str = ""

    def require(self) -> Plan:
        """The plan.

        Raises:
            DocumentError: there is none; carries the problems.
        """
        if self.plan is None:
            raise DocumentError(self.problems)
        return self.plan


def load(path: Path | str) -> Loaded:
    """Load a workflow file. Never raises for anything that is wrong with the file."""
    shown = printable(str(path))
    try:
        text = read_text(Path(path))
    except UnreadableError as error:
        return Loaded(None, (Problem(shown, 0, 0, str(error)),))
    return _load(text, shown, str(path))


def load_text(text: str, path: Path | str | None = None) -> Loaded:
    """Load a workflow from its text, as a file at `path` would be; deterministic.

    Never raises for anything that is wrong with the text. A document that a run keeps loads into an equal
    plan again, with or without its path.
    """
    place = str(path) if path is not None else None
    shown = printable(place) if place is not None else TEXT
    try:
        text = decode(text.encode("utf-8", "surrogatepass"))
    except UnreadableError as error:
        return Loaded(None, (Problem(shown, 0, 0, str(error)),))
    return _load(text, shown, place)


def _load(text: str, shown: str, path: str | None) -> Loaded:
    findings = Findings(shown)
    plan = None
    name = ""
    root = parse(text, path or "", findings)
    if root is not None:
        name = root["name"].text if isinstance(root.get("name"), Scalar) else ""
        checked = check(root, findings)
        if checked is not None:
            compiler = Compiler(checked.tree, findings, checked.forgiven)
            plan = make_plan(checked.document, compiler, text=text, digest=digest_of(text), path=path)
            if not checked.sound:
                # Something was taken out of the document: errors in the rest hold, warnings may not.
                findings.drop_warnings()
    return Loaded(plan if not findings.failed else None, findings.sorted(), name)
