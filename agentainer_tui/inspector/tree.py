"""Which rows of a tree of entries are shown: opened and closed, without looking at what is not.

A row is found by its number, and a number by its row, through what is open only: a list of a hundred thousand
elements, or a value of fifty megabytes, costs as much as what is on screen. An entry's address is the place
of each entry on the way to it, so addresses are in the order of the rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from agentainer_tui.inspector.entries import (
    Entry,
    Fields,
    Words,
    can_open,
    fold,
    is_container,
    parts_of,
    text_rows,
)
from agentainer_tui.inspector.json_path import json_path

Address = tuple[int, ...]
Names = tuple[Hashable, ...]

# Rows up to which a new value is opened by itself, and all below an entry when that is asked for.
AT_FIRST = 120
AT_MOST = 5_000


@dataclass(frozen=True, slots=True)
class Spot:
    """A row: the entry, where it is, and whether it is open (None: there is nothing to open)."""

    address: Address
    entry: Entry
    is_open: bool | None

    @property
    def depth(self) -> int:
        """How far in it stands."""
        return len(self.address) - 1


class _Branch:
    """Something open: its parts, and which of them are open."""

    __slots__ = ("_order", "_sums", "opened", "parts", "rows")

    def __init__(self, parts: Sequence[Entry]) -> None:
        self.parts = parts
        self.opened: dict[int, _Branch] = {}
        self.rows = len(parts)
        self._order: list[int] = []
        self._sums: list[int] | None = None  # rows before and within each of the open parts

    def changed(self, by: int) -> None:
        """There are more rows now, or fewer."""
        self.rows += by
        self._sums = None

    def _index(self) -> list[int]:
        if self._sums is None:
            self._order = sorted(self.opened)
            self._sums, extra = [], 0
            for place in self._order:
                self._sums.append(place + extra)
                extra += self.opened[place].rows
        return self._sums

    def find(self, row: int) -> tuple[int, int]:
        """The part in which row number `row` is, and the number of the row below it; -1: the part's own."""
        sums = self._index()
        nth = bisect_right(sums, row) - 1
        if nth < 0:
            return row, -1
        place, below = self._order[nth], row - sums[nth] - 1
        rows = self.opened[place].rows
        return (place, below) if below < rows else (place + 1 + below - rows, -1)

    def number(self, place: int) -> int:
        """The row number of a part."""
        self._index()
        nth = bisect_right(self._order, place - 1)
        return place + sum(self.opened[each].rows for each in self._order[:nth])


class Tree:
    """The rows of a list of entries, some of which are open."""

    def __init__(self, entries: Iterable[Entry], width: int = 80, like: Tree | None = None) -> None:
        self.entries = tuple(entries)
        self.width = width
        self._root = _Branch(_folded(self.entries, width))
        if like is None:
            self._open_tops(range(len(self._root.parts)))
        else:
            self._open_like(like)

    def __len__(self) -> int:
        return self._root.rows

    @property
    def top(self) -> Sequence[Entry]:
        """The outermost rows: the entries, long lines as several."""
        return self._root.parts

    # -- rows -----------------------------------------------------------------------------------------

    def row(self, number: int) -> Spot:
        """The row of that number."""
        branch = self._root
        address: Address = ()
        while True:
            place, number = branch.find(number)
            address = (*address, place)
            if number < 0:
                entry = branch.parts[place]
                is_open = place in branch.opened if self._can_open(entry, address) else None
                return Spot(address, entry, is_open)
            branch = branch.opened[place]

    def number(self, address: Address) -> int:
        """The row of an entry, or of the innermost one around it that is shown."""
        branch, number = self._root, -1
        for place in address:
            number += 1 + branch.number(place)
            inner = branch.opened.get(place)
            if inner is None:
                break
            branch = inner
        return max(0, number)

    def rows_below(self, address: Address) -> int:
        """How many rows there are below an entry; none if it is closed."""
        branches = self._branches((*address, 0))
        return branches[-1].rows if len(branches) > len(address) else 0

    def _chain(self, address: Address) -> list[Entry]:
        """The entries on the way to one, itself last."""
        branch: _Branch | None = self._root
        parts, chain = self._root.parts, []
        for place in address:
            entry = parts[place]
            chain.append(entry)
            branch = branch.opened.get(place) if branch is not None else None
            if branch is not None:
                parts = branch.parts
            else:
                parts = parts_of(entry.value) if is_container(entry.value) else ()
        return chain

    def _can_open(self, entry: Entry, address: Address) -> bool:
        """Whether there is more of it than its row shows."""
        value = entry.value
        if not isinstance(value, str) or "\n" in value:
            return can_open(value)
        used = len(str(entry.label or ("" if entry.part is None else entry.part))) + 6
        return len(value) + used > self._room(len(address)) or (not value.isascii() and can_open(value))

    def _room(self, depth: int) -> int:
        return self.width - 2 * depth - 3

    def path(self, address: Address) -> str:
        """The JSONPath of an entry; "" where there is none."""
        chain = self._chain(address)
        start = max((at for at, entry in enumerate(chain) if entry.base), default=None)
        if start is None:
            return ""
        parts = [entry.part for entry in chain[start + 1 :] if entry.part is not None]
        return json_path(parts, chain[start].base)

    def names(self, address: Address) -> Names:
        """What an entry is called on the way to it: the same in a newer tree, whatever came before it."""
        return tuple(_name(entry, place) for entry, place in zip(self._chain(address), address, strict=True))

    def find(self, names: Names) -> Address:
        """The entry of these names, or the innermost one of them that is there."""
        parts: Sequence[Entry] = self._root.parts
        address: Address = ()
        for name in names:
            place = _place(parts, name)
            if place is None:
                break
            address = (*address, place)
            value = parts[place].value
            if not is_container(value):
                break
            parts = parts_of(value)
        return address

    # -- opening and closing --------------------------------------------------------------------------

    def open(self, address: Address) -> bool:
        """Open an entry and all around it; False if there is nothing to open."""
        for depth in range(1, len(address) + 1):
            self._open(address[:depth])
        branches = self._branches(address)
        return bool(address) and address[-1] in branches[-1].opened

    def reveal(self, address: Address) -> int:
        """Open all around an entry; returns its row."""
        self.open(address[:-1])
        return self.number(address)

    def close(self, address: Address) -> None:
        """Close an entry; what is open below it is forgotten."""
        branches = self._branches(address)
        if len(branches) == len(address) and (gone := branches[-1].opened.pop(address[-1], None)):
            for branch in branches:
                branch.changed(-gone.rows)

    def toggle(self, address: Address) -> bool:
        """Open what is closed, close what is open; False if there is nothing to open."""
        branches = self._branches(address)
        if len(branches) == len(address) and address[-1] in branches[-1].opened:
            self.close(address)
            return True
        return self.open(address)

    def open_all(self, address: Address, most: int = AT_MOST) -> bool:
        """Open everything from an entry on, level by level; False if these are too many rows for all."""
        self.open(address)
        return self._open_some(address, most, by_hand=True)

    def close_all(self) -> None:
        """Close everything."""
        for place in list(self._root.opened):
            self.close((place,))

    def _branches(self, address: Address) -> list[_Branch]:
        """The open branches that lead to an entry: one for each place in its address if it is shown."""
        branches = [self._root]
        for place in address[:-1]:
            inner = branches[-1].opened.get(place)
            if inner is None:
                break
            branches.append(inner)
        return branches

    def _open(self, address: Address) -> _Branch | None:
        branches = self._branches(address)
        inside, place = branches[-1], address[-1]
        known = inside.opened.get(place)
        if known is not None or len(branches) < len(address):
            return known
        value = inside.parts[place].value
        if not self._can_open(inside.parts[place], address):
            return None
        parts = parts_of(value) if is_container(value) else text_rows(value, self._room(len(address)))
        branch = inside.opened[place] = _Branch(parts)
        for each in branches:
            each.changed(branch.rows)
        return branch

    def _open_tops(self, places: Iterable[int]) -> None:
        """Open values that are shown for the first time."""
        for place in places:
            entry = self._root.parts[place]
            if _opens_itself(entry) and self._open((place,)) is not None:
                self._open_some((place,))

    def _open_some(self, address: Address, most: int = AT_FIRST, *, by_hand: bool = False) -> bool:
        """Open containers from `address` on, outer ones first, as long as there are not too many rows."""
        branches = self._branches((*address, 0))
        start = branches[-1]
        if len(branches) <= len(address):
            return True
        waiting = deque([(address, start)])
        room, complete = most - start.rows, True
        while waiting:
            where, branch = waiting.popleft()
            if len(branch.parts) > most:
                complete = False
                continue
            for place, entry in enumerate(branch.parts):
                inner = branch.opened.get(place)
                if inner is None and is_container(entry.value) and (by_hand or _opens_itself(entry)):
                    size = len(parts_of(entry.value))
                    complete = complete and size <= room
                    if size <= room:
                        room -= size
                        inner = self._open((*where, place))
                if inner is not None:
                    waiting.append(((*where, place), inner))
        return complete

    def _open_like(self, other: Tree) -> None:
        """Open what is open in another tree, and new values as at first."""
        waiting: list[tuple[Address, _Branch]] = [((), other._root)]
        while waiting:
            where, theirs = waiting.pop()
            mine = self._branches((*where, 0))[-1]
            for place, inner in theirs.opened.items():
                here = _place(mine.parts, _name(theirs.parts[place], place))
                if here is not None and self._open((*where, here)) is not None:
                    waiting.append(((*where, here), inner))
        known = {_name(entry, place) for place, entry in enumerate(other._root.parts)}
        parts = enumerate(self._root.parts)
        self._open_tops(place for place, entry in parts if _name(entry, place) not in known)


def _opens_itself(entry: Entry) -> bool:
    """Whether it is opened without being asked for: not what is as before, and no events."""
    return entry.mark != "=" and entry.head is None


def _name(entry: Entry, place: int) -> Hashable:
    return entry.part if entry.part is not None else entry.label or place


def _place(parts: Sequence[Entry], name: Hashable) -> int | None:
    """Where the part of that name is."""
    if isinstance(name, int) and 0 <= name < len(parts) and _name(parts[name], name) == name:
        return name
    if isinstance(parts, Fields):
        return parts.place(name)
    return next((place for place, entry in enumerate(parts) if _name(entry, place) == name), None)


def _folded(entries: Iterable[Entry], width: int) -> list[Entry]:
    """Entries, lines that are too long as several."""
    found: list[Entry] = []
    for entry in entries:
        words = entry.value
        if not isinstance(words, Words):
            found.append(entry)
            continue
        rows = fold(words.line, width, words.hang)
        copied = words.text if words.copied is None else words.copied
        found += [Entry(Words(row, copied=copied)) for row in rows] if len(rows) > 1 else [entry]
    return found
