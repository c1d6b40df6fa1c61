"""A document as a tree that knows where everything stands, before anything is known about its meaning.

Scalars keep their text as written: what `0123`, `no` or `5m` means depends on what is expected in that
place, so it is decided there (`fields`), not by the parser. `plain_value` is the reading where nothing in
particular is expected.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.errors import Problem, Severity
from engine.workflows.wording import shorten, show

MAX_DEPTH = 50
MAX_NODES = 200_000
MAX_PROBLEMS = 200


class Position(NamedTuple):
    """A place in a text, both from 1."""

    line: int
    column: int


START = Position(1, 1)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A leaf: its text, and whether it stood there without quotes (so that it may mean a number)."""

    text: str
    plain: bool
    position: Position


class Table(dict[str, Any]):
    """A mapping; remembers where it and each of its keys stand.

    `damaged` is set once something wrong was taken out of it, so that what is then missing is not reported
    as a second problem.
    """

    __slots__ = ("damaged", "key_positions", "position")

    def __init__(self, position: Position) -> None:
        super().__init__()
        self.position = position
        self.damaged = False
        self.key_positions: dict[str, Position] = {}

    def put(self, key: str, value: Node, position: Position) -> None:
        """Set `key`, which stands at `position`."""
        self[key] = value
        self.key_positions[key] = position

    def move(self, key: str, to: Table, name: str) -> None:
        """Put the value of `key` into `to` under `name`; it keeps its positions."""
        to.put(name, self.pop(key), self.key_positions.pop(key))


class Items(list[Any]):
    """A list; remembers where it stands."""

    __slots__ = ("position",)

    def __init__(self, position: Position) -> None:
        super().__init__()
        self.position = position


Node = Scalar | Table | Items


Report = Callable[[Position, str], None]


class SyntaxProblemError(Exception):
    """The text cannot be read as a tree at all; reading stops at the first of these."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@dataclass(slots=True)
class Findings:
    """Collects the problems of one document: the first of them, and how many more there are."""

    path: str
    problems: set[Problem] = field(default_factory=set)
    failed: bool = False
    more: int = 0

    @property
    def full(self) -> bool:
        """True once no more are kept, so that no work need go into wording them."""
        return len(self.problems) >= MAX_PROBLEMS

    def error(self, position: Position, message: str) -> None:
        """Note something that refuses the document."""
        self.failed = True
        self._note(Problem(self.path, *position, message))

    def warning(self, position: Position, message: str) -> None:
        """Note something that is shown with the document."""
        self._note(Problem(self.path, *position, message, Severity.WARNING))

    def _note(self, problem: Problem) -> None:
        if not self.full:
            self.problems.add(problem)
        elif problem not in self.problems:
            self.more += 1

    def drop_warnings(self) -> None:
        """Forget the warnings."""
        self.problems = {one for one in self.problems if one.severity is Severity.ERROR}

    def sorted(self) -> tuple[Problem, ...]:
        """Every problem once, in the order of the text."""
        known = tuple(sorted(self.problems))
        if not self.more:
            return known
        words = f"there are more problems than these {len(known)}: mend some and load the document again"
        return (*known, Problem(self.path, 0, 0, words))


def locate(root: Node, path: Sequence[str | int], *, key: bool = False) -> Position:
    """Where the thing at `path` stands, or the nearest thing above it that exists.

    With `key`, the position of the key rather than of its value.
    """
    node: Any = root
    position: Position = root.position
    for part in path:
        if isinstance(node, Table) and isinstance(part, str) and part in node:
            key_position = node.key_positions[part]
            node = node[part]
            position = key_position if key else node.position
        elif isinstance(node, Items) and isinstance(part, int) and part < len(node):
            node = node[part]
            position = node.position
        else:
            break
    return position


# What each of these texts means differs between readers of YAML: 1.1 says truth values, octal, binary,
# grouped numbers, sexagesimal numbers and dates; 1.2 says text or decimal. We ask instead of guessing.
_TRUTH_WORDS = {
    **dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON"), "true"),
    **dict.fromkeys(("no", "No", "NO", "off", "Off", "OFF"), "false"),
}
_OLD_OCTAL = re.compile(r"[-+]?0[0-9]+")
_OTHER_NUMBER = re.compile(r"[-+]?(0b[01_]+|[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?)")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([Tt ].*)?")

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_BASED = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_DIGITS = 300


class AmbiguousError(ValueError):
    """A plain scalar whose meaning we refuse to guess; the text says what to write instead."""


def truth_word(scalar: Scalar) -> str | None:
    """`true` or `false` where the scalar is one of YAML 1.1's other words for it (`no`, `on`), else None."""
    return _TRUTH_WORDS.get(scalar.text) if scalar.plain else None


def scalar_value(scalar: Scalar) -> str | int | float | bool | None:
    """The value by YAML 1.2's core schema.

    Raises:
        AmbiguousError: readers of YAML disagree about it; says the choices.
    """
    text = scalar.text
    if not scalar.plain:
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text in _TRUTH_WORDS:
        raise AmbiguousError(
            f"{show(text)[1:-1]} is text to some readers of YAML and {_TRUTH_WORDS[text]} to others: "
            f'write "{text}" (with quotes) for the text or {_TRUTH_WORDS[text]} for the truth value'
        )
    return _number_or_text(text)


def _number_or_text(text: str) -> str | int | float:
    if not (text[0].isdigit() or text[0] in "+-."):
        return text
    if len(text) > _MAX_DIGITS and (_INTEGER.fullmatch(text) or _BASED.fullmatch(text)):
        raise AmbiguousError(f"a number of {len(text)} digits is too long: write it in quotes if it is text")
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _OLD_OCTAL.fullmatch(text):
        raise AmbiguousError(
            f"{shorten(text)} is octal to some readers of YAML and decimal to others: write {show(text)} "
            f"(with quotes) for the text or {shorten(_without_zeros(text))} for the number"
        )
    if _OTHER_NUMBER.fullmatch(text) or _DATE.fullmatch(text):
        kind = "date" if _DATE.fullmatch(text) else "number"
        raise AmbiguousError(
            f"{shorten(text)} is a {kind} to some readers of YAML and text to others: "
            f"write {show(text)} (with quotes) for the text"
        )
    if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
        raise AmbiguousError(f"{shorten(text)} is not a finite number: write it in quotes if it is text")
    return float(text) if _FLOAT.fullmatch(text) else text


def _without_zeros(text: str) -> str:
    sign = "-" if text.startswith("-") else ""
    return sign + (text.lstrip("+-").lstrip("0") or "0")


def plain_value(node: Node, problems: list[tuple[Position, str]]) -> Any:
    """The tree below `node` as plain JSON values; what cannot be read so goes into `problems`."""
    if isinstance(node, Table):
        problems.extend(
            (node.key_positions[key], complaint) for key in node if (complaint := text_complaint(key))
        )
        return {key: plain_value(child, problems) for key, child in node.items()}
    if isinstance(node, Items):
        return [plain_value(child, problems) for child in node]
    try:
        value = scalar_value(node)
    except AmbiguousError as error:
        problems.append((node.position, str(error)))
        return None
    if isinstance(value, str) and (complaint := text_complaint(value)):
        problems.append((node.position, complaint))
        return None
    return value


def text_complaint(text: str) -> str:
    """Why a text can be no value anywhere (it could not be handed to a process or to Redis), or ""."""
    if "\0" in text:
        return "the text contains a NUL character, which no program can be given: take it out"
    if any("\ud800" <= char <= "\udfff" for char in text):
        return "the text contains half of a surrogate pair, which is no character: take it out"
    return ""


def is_null(node: object) -> bool:
    """Whether a node is a plain null."""
    return isinstance(node, Scalar) and node.plain and node.text in _NULL


def node_at(root: Node, path: Sequence[str | int]) -> Node | None:
    """The node at `path`, if there is one."""
    node: Any = root
    for part in path:
        try:
            node = node[part]
        except (LookupError, TypeError):
            return None
    return node  # type: ignore[no-any-return]


def describe(node: object) -> str:
    """What a node is, for `found …`."""
    if isinstance(node, Table):
        return "a mapping" if node else "an empty mapping"
    if isinstance(node, Items):
        return "a list" if node else "an empty list"
    if not isinstance(node, Scalar):
        return repr(node)
    if not node.plain:
        return f"the text {show(node.text)}"
    try:
        value = scalar_value(node)
    except AmbiguousError:
        return shorten(node.text)
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {node.text}"
    return f"the text {show(node.text)}" if isinstance(value, str) else f"the number {shorten(node.text)}"


def duplicate(key: str, first: Position) -> str:
    """What to say about the second of two equal keys."""
    return f"the key {show(key)} stands here a second time (first on line {first.line}): keep one of the two"


def copy_of(node: Node) -> Node:
    """A deep copy, for trees that an alias puts in several places."""
    if isinstance(node, Table):
        table = Table(node.position)
        for key, child in node.items():
            table.put(key, copy_of(child), node.key_positions[key])
        return table
    if isinstance(node, Items):
        items = Items(node.position)
        items.extend(copy_of(child) for child in node)
        return items
    return node
