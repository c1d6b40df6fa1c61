"""Looks for text in the entries of a tree, opened or not, some at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from agentainer_tui.inspector.drawing import searched
from agentainer_tui.inspector.entries import Entry, is_container, parts_of
from agentainer_tui.inspector.tree import Address
from agentainer_tui.log_query import Query

# Entries looked at in one step, and letters of text that weigh as much as one.
STEP = 4_000
_WEIGHT = 500
MOST_FOUND = 50_000


class Finding:
    """One search over the entries of a tree. `found` has the addresses of what was found, in order."""

    def __init__(self, query: Query, entries: Sequence[Entry]) -> None:
        self.query = query
        self.entries = entries
        self.found: list[Address] = []
        self.looked = 0
        self.done = False
        self._walk = walk(entries)

    @property
    def full(self) -> bool:
        """Whether so much was found that the search has stopped."""
        return len(self.found) >= MOST_FOUND

    def step(self, work: int = STEP) -> bool:
        """Look at some more entries; returns whether there are more."""
        while work > 0 and not self.done:
            following = next(self._walk, None)
            if following is None or self.full:
                self.done = True
                break
            address, entry = following
            self.looked += 1
            work -= 1
            for text in searched(entry):
                work -= len(text) // _WEIGHT
                if self.query.matches(text):
                    self.found.append(address)
                    break
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


def walk(entries: Iterable[Entry]) -> Iterator[tuple[Address, Entry]]:
    """All entries and what is below them, in the order of their rows."""
    levels: list[Iterator[tuple[int, Entry]]] = [iter(enumerate(entries))]
    address: list[int] = [0]
    while levels:
        following = next(levels[-1], None)
        if following is None:
            levels.pop()
            address.pop()
            continue
        address[-1], entry = following
        yield tuple(address), entry
        if is_container(entry.value):
            levels.append(iter(enumerate(parts_of(entry.value))))
            address.append(0)
