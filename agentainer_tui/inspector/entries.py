"""What a sheet is made of: lines, and JSON values whose parts are made when they are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.cells import cell_len, chop_cells

from agentainer_tui.text import clean

# A line: pieces of safe text, each with the name of its ink.
Line = tuple[tuple[str, str], ...]

# A text that is longer than this, or has several lines, can be opened.
SHORT_TEXT = 60
# How much of a text is shown when it is opened: it is all there for a copy or the pager.
SHOWN_TEXT = 200_000


@dataclass(frozen=True, slots=True)
class Words:
    """A line that is no JSON; folded where it is too long, from the second row on `hang` columns in.

    `copied` is what a copy of it takes, if that is not the line as it stands.
    """

    line: Line
    hang: int = 0
    copied: str | None = None

    @property
    def text(self) -> str:
        """The line without its inks."""
        return "".join(text for text, _ in self.line)


@dataclass(frozen=True, slots=True)
class Delta:
    """What became of a dict or list: its parts, each with a mark where something changed."""

    parts: tuple[Entry, ...]
    value: Any  # as it is now


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a text that is too long to be shown."""

    length: int


class Entry(NamedTuple):
    """One row and what can be opened below it.

    Attributes:
        value: JSON, or `Words`, `Delta`, `Rest`.
        part: its name or index in what it is a part of; None if it is no part of a value.
        label: what is shown instead of `part`.
        head: what is shown instead of label and value.
        mark: `+`, `-` or `~` where it is new, gone or other than before; `=` what stayed as it was.
        old: of a `~`, what it was.
        base: the JSONPath that leads to it, where a value begins.
    """

    value: Any
    part: str | int | None = None
    label: str = ""
    head: Line | None = None
    mark: str = ""
    old: Any = None
    base: str = ""


class Fields(Sequence[Entry]):
    """The entries of a dict, each made when it is asked for."""

    def __init__(self, value: dict[str, Any]) -> None:
        self._value = value
        self._names = list(value)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, place: Any) -> Any:
        name = self._names[place]
        return Entry(self._value[name], name)

    def place(self, name: Any) -> int | None:
        """Where the field of that name is."""
        return self._names.index(name) if name in self._value else None


class _Elements(Sequence[Entry]):
    """The entries of a list, each made when it is asked for."""

    def __init__(self, value: Sequence[Any]) -> None:
        self._value = value

    def __len__(self) -> int:
        return len(self._value)

    def __getitem__(self, place: Any) -> Any:
        return Entry(self._value[place], place if place >= 0 else len(self._value) + place)


def can_open(value: Any) -> bool:
    """Whether there is something to show below it."""
    if isinstance(value, str):
        return len(value) > SHORT_TEXT or "\n" in value
    if isinstance(value, Delta):
        return bool(value.parts)
    return isinstance(value, dict | list | tuple) and len(value) > 0


def is_container(value: Any) -> bool:
    """Whether it has parts of its own."""
    return isinstance(value, dict | list | tuple | Delta)


def parts_of(value: Any) -> Sequence[Entry]:
    """The parts of a container; nothing is copied but the names of a dict."""
    if isinstance(value, Delta):
        return value.parts
    return Fields(value) if isinstance(value, dict) else _Elements(value)


def plain_value(value: Any) -> Any:
    """The JSON of an entry's value."""
    return value.value if isinstance(value, Delta) else value


def text_rows(text: str, width: int) -> list[Entry]:
    """The beginning of a text as rows of at most `width` cells."""
    width = max(8, width)
    shown = text[:SHOWN_TEXT]
    rows = [Entry(Words(((piece, "text"),), copied=text)) for piece in _pieces(shown, width)]
    if len(text) > len(shown):
        rows.append(Entry(Rest(len(text) - len(shown))))
    return rows


def _pieces(text: str, width: int) -> Iterator[str]:
    for raw in text.split("\n"):
        line = clean(raw.removesuffix("\r"))
        if len(line) <= width and cell_len(line) <= width:
            yield line
        elif line.isascii():
            start = 0
            while start < len(line):
                end = _end(line, start, start + width)
                yield line[start:end]
                start = end
        else:
            yield from chop_cells(line, width)


def _end(text: str, start: int, end: int) -> int:
    """Where to break a text that has to be broken at `end` at the latest: after a blank, if one is near."""
    if end >= len(text):
        return end
    blank = text.rfind(" ", start, end)
    return blank + 1 if blank > (start + end) // 2 else end


def fold(source: Line, width: int, hang: int = 0) -> list[Line]:
    """A line as lines of at most `width` cells, broken at blanks where there are some; nothing is lost."""
    if width <= hang + 8:
        hang = 0
    lines: list[Line] = []
    current: list[tuple[str, str]] = []
    used = begin = 0
    for text, ink in source:
        rest = text
        while rest:
            room = width - used
            near = rest[: 2 * width + 16]  # what may have a place here; looking at all of it takes too long
            if len(near) == len(rest) and (size := cell_len(rest)) <= room:
                current.append((rest, ink))
                used += size
                break
            piece = chop_cells(near, room)[0] if room >= 2 else ""
            if piece and cell_len(piece) <= room:
                piece = piece[: _end(near, 0, len(piece))]
                current.append((piece, ink))
                rest = rest[len(piece) :]
            elif used <= begin:  # a single letter wider than the whole view
                rest = rest[1:]
                continue
            lines.append(tuple(current))
            current = [(" " * hang, "text")] if hang else []
            used = begin = hang
    lines.append(tuple(current))
    return lines
