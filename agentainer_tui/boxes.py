"""A graph as boxes and arrows: layers, places, and lines between them. Pure.

Every box stands in the layer after the last of those that it depends on. Lines between two layers run in
tracks; boxes that lead to the same ones share one, so a fan-in is a single line with branches. The layers go
down or to the right, whichever fits the room better.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agentainer_tui.lanes import DOWN, LEFT, RIGHT, UP, Bus, LaneNode, reduced

# Blank cells between boxes of one layer, and at least so many on both sides of the tracks: where layers go
# down, and where they go to the right.
_BESIDE = (2, 0)
_AROUND = (1, 2)
# Of siblings (the same before and after them) more than so many become a stack.
STACK = 6
_SWEEPS = 4


class Box(NamedTuple):
    """Where a box stands."""

    key: Hashable
    x: int
    y: int
    layer: int
    place: int


class Stroke(NamedTuple):
    """A cell of a line: the directions that it goes, its bus, and whether it is the arrow's head."""

    directions: int
    bus: int
    head: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes and lines. `right` says that the layers go to the right, not down."""

    boxes: Mapping[Hashable, Box] = field(default_factory=dict)
    layers: tuple[tuple[Hashable, ...], ...] = ()
    strokes: Mapping[int, Mapping[int, Stroke]] = field(default_factory=dict)
    buses: tuple[Bus, ...] = ()
    before: Mapping[Hashable, tuple[Hashable, ...]] = field(default_factory=dict)
    after: Mapping[Hashable, tuple[Hashable, ...]] = field(default_factory=dict)
    width: int = 0
    height: int = 0
    right: bool = False

    def step(self, key: Hashable, dx: int, dy: int) -> Hashable:
        """The box that one comes to from another in a direction: along an edge, or within the layer."""
        box = self.boxes.get(key)
        if box is None:
            return key
        along = dx if self.right else dy
        if along:
            near = self.after[key] if along > 0 else self.before[key]
            return min(near, key=lambda other: abs(self._cross(other) - self._cross(key)), default=key)
        layer = self.layers[box.layer]
        place = box.place + (dy if self.right else dx)
        return layer[place] if 0 <= place < len(layer) else key

    def _cross(self, key: Hashable) -> int:
        box = self.boxes[key]
        return box.y if self.right else box.x


def neighbours(nodes: Sequence[LaneNode], centre: Hashable, most: int) -> list[LaneNode]:
    """The `most` nodes that are the fewest hops away from one, in their own order."""
    if len(nodes) <= most:
        return list(nodes)
    beside: defaultdict[Hashable, list[Hashable]] = defaultdict(list)
    for node in nodes:
        for each in node.depends_on:
            beside[node.key].append(each)
            beside[each].append(node.key)
    known = {node.key for node in nodes}
    first = centre if centre in known else nodes[0].key
    found, waiting = {first}, deque([first])
    while waiting and len(found) < most:
        for each in beside[waiting.popleft()]:
            if each in known and each not in found and len(found) < most:
                found.add(each)
                waiting.append(each)
    return [node for node in nodes if node.key in found]


def stacked(
    nodes: Sequence[LaneNode], apart: Iterable[Hashable] = ()
) -> tuple[list[LaneNode], dict[Hashable, tuple[Hashable, ...]]]:
    """The nodes with many siblings made one, and what each of those stands for; not those `apart`."""
    after: defaultdict[Hashable, list[Hashable]] = defaultdict(list)
    for node in nodes:
        for each in node.depends_on:
            after[each].append(node.key)
    left = set(apart)
    alike: defaultdict[tuple[object, ...], list[Hashable]] = defaultdict(list)
    for node in nodes:
        if node.key not in left and (node.depends_on or after[node.key]):
            alike[tuple(sorted(map(str, node.depends_on))), tuple(after[node.key])].append(node.key)
    stacks = {keys[0]: tuple(keys) for keys in alike.values() if len(keys) > STACK}
    gone = {key: first for first, keys in stacks.items() for key in keys}
    kept = []
    for node in nodes:
        if gone.get(node.key, node.key) == node.key:
            before = dict.fromkeys(gone.get(each, each) for each in node.depends_on)
            kept.append(LaneNode(node.key, tuple(before)))
    return kept, stacks


def arrange(nodes: Sequence[LaneNode], box: tuple[int, int], room: tuple[int, int]) -> Picture:
    """Boxes of one size, and the lines between them.

    Args:
        nodes: in an order that puts dependencies first.
        box: width and height of a box.
        room: of what is to be seen at once.
    """
    edges = {key: before for key, before in reduced(nodes) if key is not None}
    if not edges:
        return Picture()
    down = _Arranging(edges, box, right=False).run()
    right = _Arranging(edges, box, right=True).run()
    return min((right, down), key=lambda picture: _excess(picture, room))


def _excess(picture: Picture, room: tuple[int, int]) -> float:
    """How much too large it is; to scroll to the side is worse than to scroll down."""
    return 2 * max(0.0, picture.width / max(1, room[0]) - 1) + max(0.0, picture.height / max(1, room[1]) - 1)


class _Dummy(NamedTuple):
    """Where a long edge passes a layer."""

    source: Hashable
    target: Hashable
    layer: int


class _Arranging:
    """Works with `along` (from layer to layer) and `across` (within one), and turns them at the end."""

    def __init__(
        self, edges: Mapping[Hashable, tuple[Hashable, ...]], box: tuple[int, int], *, right: bool
    ) -> None:
        self._edges = edges
        self._right = right
        self._along, self._across = box if right else box[::-1]
        self._beside = _BESIDE[right]
        self._around = _AROUND[right]
        self._layer: dict[Hashable, int] = {}
        self._layers: list[list[Hashable]] = []
        self._links: list[tuple[Hashable, Hashable]] = []  # from layer to layer
        self._before: defaultdict[Hashable, list[Hashable]] = defaultdict(list)
        self._after: defaultdict[Hashable, list[Hashable]] = defaultdict(list)
        self._centre: dict[Hashable, int] = {}
        self._strokes: defaultdict[int, dict[int, Stroke]] = defaultdict(dict)
        self._buses: list[Bus] = []

    def run(self) -> Picture:
        """Layers, order, places, lines."""
        self._make_layers()
        self._order()
        self._place()
        begins, at = [], 0
        for number in range(len(self._layers)):
            begins.append(at)
            at += self._along
            if number + 1 < len(self._layers):
                at += self._draw_gap(number, at)
        end = max(at - self._extent(key) // 2 + self._extent(key) for key, at in self._centre.items())
        real = [[key for key in layer if not isinstance(key, _Dummy)] for layer in self._layers]
        boxes = {}
        for number, layer in enumerate(real):
            for place, key in enumerate(layer):
                across = self._centre[key] - self._across // 2
                x, y = (begins[number], across) if self._right else (across, begins[number])
                boxes[key] = Box(key, x, y, number, place)
        after: dict[Hashable, list[Hashable]] = {key: [] for key in self._edges}
        for key, before in self._edges.items():
            for each in before:
                after[each].append(key)
        width, height = (at, end) if self._right else (end, at)
        return Picture(
            boxes,
            tuple(map(tuple, real)),
            self._strokes,
            tuple(self._buses),
            self._edges,
            {key: tuple(found) for key, found in after.items()},
            width,
            height,
            self._right,
        )

    # -- layers and order -----------------------------------------------------------------------------

    def _make_layers(self) -> None:
        for key, before in self._edges.items():
            self._layer[key] = max((self._layer[each] + 1 for each in before), default=0)
        self._layers = [[] for _ in range(max(self._layer.values()) + 1)]
        for key in self._edges:
            self._layers[self._layer[key]].append(key)
        for key, before in self._edges.items():
            for each in before:
                last = each
                for number in range(self._layer[each] + 1, self._layer[key]):
                    # Edges of one step run together as long as they can.
                    passing = _Dummy(each, None, number)
                    if passing not in self._layer:
                        self._layer[passing] = number
                        self._layers[number].append(passing)
                    self._link(last, passing)
                    last = passing
                self._link(last, key)

    def _link(self, one: Hashable, other: Hashable) -> None:
        if other not in self._after[one]:
            self._after[one].append(other)
            self._before[other].append(one)

    def _order(self) -> None:
        """Fewer crossings: each towards the middle of what it is linked to, down and up again."""
        for sweep in range(_SWEEPS):
            down = sweep % 2 == 0
            linked = self._before if down else self._after
            for layer in self._layers if down else reversed(self._layers):
                places = {key: place for each in self._layers for place, key in enumerate(each)}

                def middle(
                    key: Hashable,
                    linked: Mapping[Hashable, list[Hashable]] = linked,
                    places: dict[Hashable, int] = places,
                ) -> float:
                    near = linked.get(key, ())
                    return sum(places[each] for each in near) / len(near) if near else places[key]

                layer.sort(key=middle)

    # -- places ---------------------------------------------------------------------------------------

    def _extent(self, key: Hashable) -> int:
        return 1 if isinstance(key, _Dummy) else self._across

    def _distance(self, one: Hashable, other: Hashable) -> int:
        """Cells between the middles of two neighbours in a layer, at least."""
        half = self._extent(one) - self._extent(one) // 2
        return half + self._extent(other) // 2 + self._beside

    def _place(self) -> None:
        for layer in self._layers:
            at = 0
            for place, key in enumerate(layer):
                at = at + self._distance(layer[place - 1], key) if place else self._extent(key) // 2
                self._centre[key] = at
        for sweep in range(_SWEEPS):
            down = sweep % 2 == 0
            linked = self._before if down else self._after
            for layer in self._layers if down else reversed(self._layers):
                self._pull(layer, linked)
        least = min(self._centre[key] - self._extent(key) // 2 for layer in self._layers for key in layer)
        for key in self._centre:
            self._centre[key] -= least

    def _pull(self, layer: Sequence[Hashable], linked: Mapping[Hashable, list[Hashable]]) -> None:
        """Each towards what it is linked to, as far as its neighbours let it."""
        wish = []
        for key in layer:
            near = [self._centre[each] for each in linked.get(key, ())]
            wish.append(sum(near) / len(near) if near else float(self._centre[key]))
        ahead, back = list(wish), list(wish)
        for place in range(1, len(layer)):
            ahead[place] = max(wish[place], ahead[place - 1] + self._distance(layer[place - 1], layer[place]))
        for place in range(len(layer) - 2, -1, -1):
            back[place] = min(wish[place], back[place + 1] - self._distance(layer[place], layer[place + 1]))
        last = -1
        for place, key in enumerate(layer):
            at = round((ahead[place] + back[place]) / 2)
            if place:
                at = max(at, last + self._distance(layer[place - 1], key))
            self._centre[key] = last = at

    # -- lines ----------------------------------------------------------------------------------------

    def _draw_gap(self, number: int, begin: int) -> int:
        """The lines between a layer and the next; returns the cells that they take."""
        shared: defaultdict[tuple[Hashable, ...], list[Hashable]] = defaultdict(list)
        for key in self._layers[number]:
            if self._after[key]:
                shared[tuple(self._after[key])].append(key)
        hubs = [(sources, list(targets)) for targets, sources in shared.items()]
        tracks = self._tracks(hubs)
        size = max(tracks, default=0) + 1 + 2 * self._around
        for (sources, targets), track in zip(hubs, tracks, strict=True):
            bus = len(self._buses)
            real = tuple(dict.fromkeys(self._real(source) for source in sources))
            self._buses.append(Bus(real, self._real_targets(targets)))
            at = begin + self._around + track
            coming, going = (LEFT, RIGHT) if self._right else (UP, DOWN)
            for source in sources:
                self._line(begin, at - 1, self._centre[source], bus)
                self._stroke(at, self._centre[source], coming, bus)
            for target in targets:
                is_box = not isinstance(target, _Dummy)
                end = begin + size - 1
                self._stroke(at, self._centre[target], going, bus)
                self._line(at + 1, end, self._centre[target], bus, head=is_box)
                if not is_box and number + 2 < len(self._layers):
                    self._line(end + 1, end + self._along, self._centre[target], bus)
            places = [self._centre[key] for key in (*sources, *targets)]
            self._bar(at, min(places), max(places), bus)
        return size

    @staticmethod
    def _real(key: Hashable) -> Hashable:
        return key.source if isinstance(key, _Dummy) else key

    def _real_targets(self, targets: Iterable[Hashable]) -> tuple[Hashable, ...]:
        found: list[Hashable] = []
        waiting = list(targets)
        while waiting:
            key = waiting.pop()
            if isinstance(key, _Dummy):
                waiting += self._after[key]
            else:
                found.append(key)
        return tuple(found)

    def _tracks(self, hubs: Sequence[tuple[Sequence[Hashable], Sequence[Hashable]]]) -> list[int]:
        """A track for each, so that lines meet as little as can be."""
        places = [[self._centre[key] for key in (*sources, *targets)] for sources, targets in hubs]
        leaving = [{self._centre[key] for key in sources} for sources, _ in hubs]
        arriving = [{self._centre[key] for key in targets} for _, targets in hubs]
        tracks = [-1] * len(hubs)
        # What leaves where another arrives turns off before that one does.
        for number in sorted(range(len(hubs)), key=lambda each: (min(places[each]), max(places[each]))):
            least = max(
                (
                    tracks[other] + 1
                    for other in range(len(hubs))
                    if tracks[other] >= 0 and leaving[other] & (arriving[number] - leaving[number])
                ),
                default=0,
            )
            taken = {
                tracks[other]
                for other in range(len(hubs))
                if tracks[other] >= 0
                and min(places[other]) <= max(places[number])
                and min(places[number]) <= max(places[other])
            }
            candidates = range(least, least + len(hubs) + 1)
            tracks[number] = next(track for track in candidates if track not in taken)
        return tracks

    def _line(self, begin: int, end: int, across: int, bus: int, *, head: bool = False) -> None:
        """From layer to layer."""
        for at in range(begin, end + 1):
            self._stroke(at, across, (LEFT | RIGHT) if self._right else (UP | DOWN), bus)
        if head:
            self._stroke(end, across, 0, bus, head=True)

    def _bar(self, at: int, begin: int, end: int, bus: int) -> None:
        """Within a track; where lines leave and arrive, only as far as they go."""
        first, last = (UP, DOWN) if self._right else (LEFT, RIGHT)
        for across in range(begin, end + 1):
            directions = (first if across > begin else 0) | (last if across < end else 0)
            self._stroke(at, across, directions, bus)

    def _stroke(self, along: int, across: int, directions: int, bus: int, *, head: bool = False) -> None:
        x, y = (along, across) if self._right else (across, along)
        known = self._strokes[y].get(x)
        if known is not None:
            head = head or known.head
            if known.bus == bus or {known.directions, directions} != {LEFT | RIGHT, UP | DOWN}:
                directions |= known.directions
            else:
                directions = UP | DOWN  # one line runs above the other
        self._strokes[y][x] = Stroke(directions, bus, head)
