"""The graph of a run as lanes beside its rows, in the manner of `git log --graph`, one row high each. Pure.

A lane is not an edge but a bus: it collects the steps of one set of dependencies and serves every step that
depends on exactly that set. So a fan-out or fan-in of five hundred steps is one lane, and two layers of which
everything depends on everything are one lane as well. What collects stands to the right of its steps, what
serves to the left:

    ●      split
    ├─●─╮  first
    ╰─●─┤  second
    ●───╯  join
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
NODE = 16  # the place of the step itself
# The bus of a cell in which several lanes run as one, for want of room.
BUNDLE = -1


class LaneNode(NamedTuple):
    """A row of the list: a step with what it depends on, or (without a key) a line that lanes run past."""

    key: Hashable = None
    depends_on: tuple[Hashable, ...] = ()


class LaneCell(NamedTuple):
    """One character: the directions that lines go from its middle, and the bus that they belong to."""

    directions: int
    bus: int


class Bus(NamedTuple):
    """The keys that a lane comes from, and those that it leads to."""

    sources: tuple[Hashable, ...]
    targets: tuple[Hashable, ...]


BLANK = LaneCell(0, 0)


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of all rows.

    Attributes:
        rows: of each row the cells, without blanks at the end.
        buses: what each collects from and serves, by the number that cells have.
        width: cells of the widest row.
    """

    rows: tuple[tuple[LaneCell, ...], ...] = ()
    buses: tuple[Bus, ...] = ()
    width: int = 0


@dataclass(slots=True)
class _Bus:
    number: int
    sources: tuple[Hashable, ...]
    targets: list[Hashable] = field(default_factory=list)
    last: int = 0
    column: int | None = None


@dataclass(slots=True)
class _Row:
    """What is drawn in one row."""

    cells: dict[int, LaneCell] = field(default_factory=dict)

    def join(self, place: int, directions: int, bus: int) -> None:
        known = self.cells.get(place, BLANK).directions
        self.cells[place] = LaneCell(known | directions, bus)

    def across(self, begin: int, end: int, bus: int, mine: set[int]) -> None:
        """A horizontal line between two places; foreign lanes in its way run on above it."""
        for place in range(min(begin, end) + 1, max(begin, end)):
            if place in mine or place not in self.cells:
                self.join(place, LEFT | RIGHT, bus)

    def freeze(self) -> tuple[LaneCell, ...]:
        return tuple(self.cells.get(place, BLANK) for place in range(max(self.cells, default=-1) + 1))


def lay_out(nodes: Sequence[LaneNode], most: int) -> Lanes:
    """The lanes beside `nodes`, which stand in an order that puts dependencies first.

    Args:
        nodes: the rows. Dependencies on keys that no row has, or a later one, are not drawn.
        most: columns of lanes at most; those that find none share the last one.
    """
    return _Layout(nodes, max(2, most)).run()


class _Layout:
    def __init__(self, nodes: Sequence[LaneNode], most: int) -> None:
        self._nodes = nodes
        self._bundle = most - 1
        self._in: dict[Hashable, _Bus] = {}
        self._out: dict[Hashable, list[_Bus]] = {}
        self._buses: list[_Bus] = []
        self._taken: dict[int, _Bus] = {}  # the bus that runs in a column
        self._bundled: set[int] = set()  # numbers of those that share the last column
        # The column of the step above if nothing follows it, and whether nothing comes before it either.
        self._above: tuple[int, bool] | None = None
        self._connect()

    def _connect(self) -> None:
        by_sources: dict[tuple[Hashable, ...], _Bus] = {}
        for place, (key, sources) in enumerate(reduced(self._nodes)):
            if not sources:
                continue
            bus = by_sources.get(sources)
            if bus is None:
                bus = by_sources[sources] = _Bus(len(self._buses), sources)
                self._buses.append(bus)
                for source in sources:
                    self._out.setdefault(source, []).append(bus)
            bus.targets.append(key)
            bus.last = place
            self._in[key] = bus

    def run(self) -> Lanes:
        """Row by row."""
        rows = []
        for place, node in enumerate(self._nodes):
            row = _Row()
            for column in self._taken:
                row.join(2 * column, UP | DOWN, self._taken[column].number)
            if self._bundled:
                row.join(2 * self._bundle, UP | DOWN, BUNDLE)
            if node.key is not None:
                self._draw(place, node.key, row)
            else:
                self._above = None
            rows.append(row.freeze())
        width = max(map(len, rows), default=0)
        buses = tuple(Bus(bus.sources, tuple(bus.targets)) for bus in self._buses)
        return Lanes(tuple(rows), buses, width)

    def _draw(self, place: int, key: Hashable, row: _Row) -> None:
        bus = self._in.get(key)
        outs = self._out.get(key, [])
        column = self._column_of(bus, bool(outs))
        joined: list[tuple[int, _Bus]] = []
        ended = None
        if bus is not None and bus.column is not None:
            joined.append((bus.column, bus))
            if bus.last == place:
                ended = bus
                self._end(bus, row)
        for out in outs:
            self._begin(out, column, ended, row)
            if out.column is not None and out.column != column:
                joined.append((out.column, out))
        row.cells[2 * column] = LaneCell(NODE, 0)
        mine = {2 * at for at, _ in joined}
        for at, joining in sorted(joined, key=lambda found: -abs(found[0] - column)):
            if at == column:
                continue
            number = joining.number if at != self._bundle else BUNDLE
            row.join(2 * at, LEFT if at > column else RIGHT, number)
            row.across(2 * column, 2 * at, number, mine)
        self._above = None if outs else (column, bus is None)

    def _end(self, bus: _Bus, row: _Row) -> None:
        """The last step that the bus serves: it comes from above and goes no further."""
        assert bus.column is not None
        if bus.column == self._bundle:
            self._bundled.discard(bus.number)
            if self._bundled:
                return
        else:
            del self._taken[bus.column]
        row.cells[2 * bus.column] = LaneCell(UP, bus.number)

    def _begin(self, bus: _Bus, column: int, ended: _Bus | None, row: _Row) -> None:
        """A bus leaves its first step downwards; at the later ones it is there already."""
        if bus.column is not None:
            return
        barred = {ended.column} if ended is not None and ended.column != column else set()
        if len(bus.sources) == 1 and column not in self._taken and column < self._bundle:
            bus.column = column
        else:
            taken = barred | set(self._taken)
            beside = (*range(column + 1, self._bundle), *range(column), self._bundle)
            bus.column = next(at for at in beside if at == self._bundle or at not in taken)
        if bus.column == self._bundle:
            known = UP | DOWN if self._bundled else DOWN
            self._bundled.add(bus.number)
            row.join(2 * self._bundle, known, BUNDLE)
            return
        self._taken[bus.column] = bus
        if bus.column != column:
            row.join(2 * bus.column, DOWN, bus.number)

    def _column_of(self, bus: _Bus | None, goes_on: bool) -> int:
        """Where a step stands."""
        free = [
            at
            for at in range(self._bundle + 2)
            if at not in self._taken and not (at == self._bundle and self._bundled)
        ]
        if bus is None or bus.column is None:
            return self._root(free, goes_on)
        if len(bus.targets) == 1:
            left = next((at for at in free if at < bus.column), None)
            if len(bus.sources) == 1 or left is None:
                return bus.column if bus.column != self._bundle else free[0]
            return left
        right = (at for at in free if bus.column < at <= self._bundle)
        return next(right, free[0])

    def _root(self, free: list[int], goes_on: bool) -> int:
        """Not below a step that nothing follows: the two would look like a chain."""
        if self._above is not None and len(free) > 1 and free[0] == self._above[0]:
            is_alone = self._above[1]
            if goes_on or not is_alone:
                return free[1]
        return free[0]


def reduced(nodes: Sequence[LaneNode]) -> list[tuple[Hashable, tuple[Hashable, ...]]]:
    """The dependencies of each row without those that follow from others, in row order."""
    places: dict[Hashable, int] = {}
    reach: dict[Hashable, int] = {}  # of each key the places of all that comes before it, as bits
    found: list[tuple[Hashable, tuple[Hashable, ...]]] = []
    for place, node in enumerate(nodes):
        if node.key is None:
            found.append((None, ()))
            continue
        known = sorted({key for key in node.depends_on if key in places}, key=places.__getitem__)
        behind = 0
        for key in known:
            behind |= reach[key]
        direct = tuple(key for key in known if not behind >> places[key] & 1)
        for key in direct:
            behind |= 1 << places[key]
        places[node.key] = place
        reach[node.key] = behind
        found.append((node.key, direct))
    return found
