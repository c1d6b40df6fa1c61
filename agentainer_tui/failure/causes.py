"""Many failed items as a few causes: errors that differ in numbers, names or places only are one."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from agentainer_tui.failure.words import verdict
from agentainer_tui.views import ItemView
from engine.events import StepStatus

# More kinds of errors than this are told apart more coarsely.
ENOUGH = 6
# The part of the words that has to be the same, and how many patterns of words are told apart.
_ALIKE, _PATTERNS = 0.6, 50
# What is looked at of an error, at most: its first line counts.
_LOOKED_AT = 400

_UUID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_HEX = re.compile(r"\b(?:0x[0-9a-fA-F]+|(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,})\b")
_NUMBER = re.compile(r"\d+(?:[.,:_-]\d+)*")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_PLACE = re.compile(r"(?<![\w#…])(?:[a-zA-Z][a-zA-Z0-9+.-]*://|\.{0,2}/)[^\s,;:)\]]+")


@dataclass(frozen=True, slots=True)
class Cause:
    """Items that failed alike.

    Attributes:
        words: why, as their verdict says it.
        error: the error of the first one, its first line.
        items: their indexes, in order.
    """

    words: str
    error: str
    items: tuple[int, ...]


def causes_of(items: Iterable[ItemView]) -> list[Cause]:
    """The failed ones of `items`, grouped by cause, the largest group first.

    Errors are told apart as finely as leaves no more than `ENOUGH` groups: by all but numbers and ids, by all
    but what is quoted too, by all but places, by most of their words, and in the end by the verdict alone.
    """
    failed = [item for item in items if item.status is StepStatus.FAILED]
    words = [verdict(item).words for item in failed]
    errors = [first_line(item.error) for item in failed]
    groups: dict[object, list[ItemView]] = {}
    for likeness in _LIKENESSES:
        groups = {}
        for item, why, like in zip(failed, words, likeness(errors), strict=True):
            groups.setdefault((why, like), []).append(item)
        if len(groups) <= ENOUGH:
            break
    found = [_cause(members) for members in groups.values()]
    return sorted(found, key=lambda cause: (-len(cause.items), cause.items[0]))


def first_line(error: str) -> str:
    """The first line of an error that says something."""
    return next((line.strip() for line in error[:_LOOKED_AT].splitlines() if line.strip()), "")


def ranges(numbers: Sequence[int], *, limit: int = 8) -> str:
    """Rising numbers as people write them: `0-4, 7, 9-12`, and how many more there are."""
    pieces: list[tuple[int, int]] = []
    for number in numbers:
        if pieces and pieces[-1][1] == number - 1:
            pieces[-1] = (pieces[-1][0], number)
        else:
            pieces.append((number, number))
    words = [str(first) if first == last else f"{first}-{last}" for first, last in pieces[:limit]]
    left = sum(last - first + 1 for first, last in pieces[limit:])
    return ", ".join(words) + (f" and {left} more" if left else "")


def _cause(members: Sequence[ItemView]) -> Cause:
    first = members[0]
    return Cause(verdict(first).words, first_line(first.error), tuple(item.index for item in members))


def _by(simplify: Callable[[str], str]) -> Callable[[Sequence[str]], list[Hashable]]:
    """What errors have in common is what a function leaves of them."""
    return lambda errors: [simplify(error) for error in errors]


def _by_most_words(errors: Sequence[str]) -> list[Hashable]:
    """Errors are alike that have as many words, and most of them the same: the others are names."""
    patterns: dict[int, list[list[str | None]]] = {}
    found: list[Hashable] = []
    for error in errors:
        words = _without_places(error).split()
        known = patterns.setdefault(len(words), [])
        place = next((at for at, pattern in enumerate(known) if _fits(pattern, words)), None)
        if place is None:
            place = len(known)
            if place < _PATTERNS:
                known.append([*words])
        else:
            known[place] = [a if a == b else None for a, b in zip(known[place], words, strict=True)]
        found.append((len(words), min(place, _PATTERNS)))
    return found


def _fits(pattern: Sequence[str | None], words: Sequence[str]) -> bool:
    same = sum(one == other for one, other in zip(pattern, words, strict=True))
    return same >= _ALIKE * len(words)


def _without_numbers(text: str) -> str:
    for pattern in (_UUID, _HEX, _NUMBER):
        text = pattern.sub("#", text)
    return text.casefold()


def _without_quotes(text: str) -> str:
    return _without_numbers(_QUOTED.sub("…", text))


def _without_places(text: str) -> str:
    return _without_numbers(_PLACE.sub("…", _QUOTED.sub("…", text)))


def _nothing(text: str) -> str:
    return ""


# From fine to coarse.
_LIKENESSES = (
    _by(_without_numbers),
    _by(_without_quotes),
    _by(_without_places),
    _by_most_words,
    _by(_nothing),
)
