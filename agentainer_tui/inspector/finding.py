"""Looks for text in the entries of a tree, opened or not, some at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from agentainer_tui.inspector.drawing import scalar, searched
from agentainer_tui.inspector.entries import Entry, is_container, parts_of
from agentainer_tui.inspector.tree import Address
from agentainer_tui.log_query import Query

# What is looked at in one step: values, and letters of text that weigh as much as one.
STEP = 5_000
_WEIGHT = 500
MOST_FOUND = 50_000
# Long texts are looked at in pieces that overlap, so that nothing takes long in one go.
_PIECE = 1 << 18
_OVERLAP = 1 << 10
# Names that are remembered with whether they match: large lists are full of the same ones.
_NAMES = 10_000


class Finding:
    """One search over the entries of a tree. `found` has the addresses of what was found, in order."""

    def __init__(self, query: Query, entries: Sequence[Entry]) -> None:
        self.query = query
        self.entries = entries
        self.found: list[Address] = []
        self.looked = 0
        self.done = False
        self._work = 0
        self._matches = _matcher(query)
        self._names: dict[str, bool] = {}
        self._walk = self._look()

    @property
    def full(self) -> bool:
        """Whether so much was found that the search has stopped."""
        return len(self.found) >= MOST_FOUND

    def step(self, work: int = STEP) -> bool:
        """Look at some more; returns whether there is more."""
        self._work = work
        if not self.done:
            self.done = next(self._walk, True)
        return not self.done

    def after(self, address: Address, by: int) -> Address | None:
        """What was found next after an address, or before it; from the last one on to the first."""
        if not self.found:
            return None
        place = bisect_left(self.found, address)
        if by > 0:
            place += place < len(self.found) and self.found[place] == address
        else:
            place -= 1
        return self.found[place % len(self.found)]

    def nth(self, address: Address) -> int:
        """Which of those found it is, from 1; 0 if it is none."""
        place = bisect_left(self.found, address)
        return place + 1 if place < len(self.found) and self.found[place] == address else 0

    # -- looking --------------------------------------------------------------------------------------

    def _look(self) -> Iterator[bool]:
        """Look at everything; stops (False) whenever the work of a step is done."""
        for place, entry in enumerate(self.entries):
            yield from self._look_at(entry, (place,))
            if self.full:
                break

    def _look_at(self, entry: Entry, address: Address) -> Iterator[bool]:
        """An entry that may be more than JSON: a line, an event, a difference."""
        self._note(any(map(self._has, searched(entry))), address)
        if self._work <= 0:
            yield False
        if isinstance(entry.value, dict | list | tuple):
            yield from self._look_into(entry.value, address)
        elif is_container(entry.value):
            for place, part in enumerate(parts_of(entry.value)):
                yield from self._look_at(part, (*address, place))

    def _look_into(self, value: Any, start: Address) -> Iterator[bool]:
        """The parts of JSON, without making entries of them."""
        levels = [_parts(value)]
        address = [*start, 0]
        while levels and not self.full:
            following = next(levels[-1], None)
            if following is None:
                levels.pop()
                address.pop()
                continue
            address[-1], name, part = following
            hit = name is not None and self._has_name(name)
            if isinstance(part, str):
                hit = hit or self._has(part)
            elif isinstance(part, dict | list | tuple):
                levels.append(_parts(part))
                self._note(hit, address)
                address.append(0)
                hit = False
            else:
                hit = hit or self._matches(scalar(part))
            if hit:
                self.found.append(tuple(address))
            self.looked += 1
            self._work -= 1
            if self._work <= 0:
                yield False

    def _note(self, hit: bool, address: Iterable[int]) -> None:
        if hit:
            self.found.append(tuple(address))

    def _has_name(self, name: str) -> bool:
        known = self._names.get(name)
        if known is None:
            known = self._has(name)
            if len(self._names) < _NAMES:
                self._names[name] = known
        return known

    def _has(self, text: str) -> bool:
        self._work -= len(text) // _WEIGHT
        if len(text) <= _PIECE:
            return self._matches(text)
        pieces = range(0, len(text), _PIECE - _OVERLAP)
        return any(self._matches(text[start : start + _PIECE]) for start in pieces)


def _matcher(query: Query) -> Callable[[str], bool]:
    """What tells whether a text has it: for plain text the quickest way there is."""
    if query.regex or query.invert:
        return query.matches
    if query.case:
        return lambda text: query.text in text
    wanted = query.text.lower()
    return lambda text: wanted in text.lower()


def _parts(value: Any) -> Iterator[tuple[int, str | None, Any]]:
    if isinstance(value, dict):
        return ((place, name, part) for place, (name, part) in enumerate(value.items()))
    return ((place, None, part) for place, part in enumerate(value))
