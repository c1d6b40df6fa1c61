"""Which rows the steps of a run make: in what order, and what is folded away, found or put first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from heapq import heapify, heappop
from typing import NamedTuple, Protocol, TypeVar

from agentainer_tui.lanes import LaneNode
from agentainer_tui.text import brief
from agentainer_tui.views import ItemView, RunView, StepView
from engine.events import StepStatus

# So many items are shown without being asked for; more than that many are drawn as a grid.
FEW = 16
MANY = 50
# So many finished siblings in a row can be folded into one; that many failed items are listed above a grid.
_RUN = 3
_LISTED = 200
_FIRST = (
    StepStatus.FAILED,
    StepStatus.RETRYING,
    StepStatus.RUNNING,
    StepStatus.PENDING,
    StepStatus.CANCELLED,
    StepStatus.SKIPPED,
    StepStatus.COMPLETED,
)
_RANK = {status: rank for rank, status in enumerate(_FIRST)}
ROLES = ("main", "on_failure", "finally")


class RowKey(NamedTuple):
    """A step, or with `item` one of its items."""

    step_id: str
    item: int | None = None


class Section(NamedTuple):
    """The line above the steps of a role."""

    role: str


class TallyKey(NamedTuple):
    """The line with the counts of a step's items, above their grid."""

    step_id: str
    of: str = "tally"


class GridKey(NamedTuple):
    """A line of the grid of a step's items, from the item `first` on."""

    step_id: str
    first: int
    of: str = "grid"


class FoldedKey(NamedTuple):
    """Finished siblings that are one row: the first of them, and how many."""

    step_id: str
    number: int
    of: str = "folded"


Key = RowKey | Section | TallyKey | GridKey | FoldedKey


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person wants to see.

    Attributes:
        open: steps whose items or members are shown or hidden, where that is not what goes without saying.
        folded: finished steps that may be one row with their finished siblings.
        fold_all: all finished siblings may be; then `folded` are those that may not.
        failed_first: by status, without lanes.
        matches: what is looked for; None if nothing is.
        grid: items to a line of a grid.
    """

    open: Mapping[str, bool]
    folded: frozenset[str] = frozenset()
    fold_all: bool = False
    failed_first: bool = False
    matches: Callable[[str], bool] | None = None
    grid: int = MANY

    def shows(self, step: StepView) -> bool:
        """Whether the items or members of a step are shown."""
        return self.open.get(step.id, len(step.items) <= FEW)

    def may_fold(self, step: StepView) -> bool:
        """Whether it may be one row with its siblings: over, well, and nothing is to be seen within."""
        return _can_fold(step) and (step.id in self.folded) != self.fold_all


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows, and beside each what its lanes are made of (none: a list without lanes).

    `found` and `total` are how many steps and items a search has left, and of how many.
    """

    keys: tuple[Key, ...]
    nodes: tuple[LaneNode, ...] = ()
    found: int = 0
    total: int = 0


def rows_of(view: RunView, wanted: Wanted) -> Rows:
    """The rows of a run."""
    if wanted.matches is not None:
        return _found(view, wanted.matches)
    if wanted.failed_first:
        return Rows(tuple(_failed_first(view, wanted)))
    keys: list[Key] = []
    nodes: list[LaneNode] = []
    standing = _standing(view, wanted)
    stood_for = Counter(by for one, by in standing.items() if wanted.may_fold(view.steps[one]))
    leaves = _leaves(view)
    role = "main"
    for step in ordered(view):
        if step.id not in standing or standing[step.id] != step.id:
            continue
        if step.role != role:
            role = step.role
            keys.append(Section(role))
            nodes.append(LaneNode())
        folded = wanted.may_fold(step) and stood_for[step.id] >= _RUN
        keys.append(FoldedKey(step.id, stood_for[step.id]) if folded else RowKey(step.id))
        before = [end for each in step.depends_on for end in _ends(view, each, leaves)]
        before += [step.parent] if step.parent is not None else []
        depends = dict.fromkeys(standing.get(each, each) for each in before)
        nodes.append(LaneNode(step.id, tuple(each for each in depends if each != step.id)))
        inside = _inside(step, wanted)
        keys += inside
        nodes += [LaneNode()] * len(inside)
    return Rows(tuple(keys), tuple(nodes))


def shape_of(view: RunView, wanted: Wanted) -> object:
    """What the rows depend on: as long as it stays equal, they stay the same."""
    items = tuple((step.id, len(step.items)) for step in view.steps.values() if step.items)
    statuses: object = None
    if wanted.failed_first or wanted.fold_all or wanted.folded:
        statuses = tuple(step.status for step in view.steps.values())
        if wanted.failed_first:
            statuses = (statuses, tuple(step.tally.get(StepStatus.FAILED, 0) for step in view.steps.values()))
    return tuple(view.steps), items, statuses, wanted, tuple(sorted(wanted.open.items()))


def ordered(view: RunView) -> list[StepView]:
    """All steps, dependencies first, members right after their group; else as the document has them."""
    by_parent: dict[str | None, list[StepView]] = {}
    for step in view.steps.values():
        parent = step.parent if step.parent in view.steps else None
        by_parent.setdefault(parent, []).append(step)
    found: list[StepView] = []

    def walk(parent: str | None) -> None:
        for step in dependencies_first(by_parent.get(parent, ())):
            found.append(step)
            walk(step.id)

    for role in dict.fromkeys((*ROLES, *(step.role for step in view.steps.values()))):
        for step in dependencies_first([each for each in by_parent.get(None, ()) if each.role == role]):
            found.append(step)
            walk(step.id)
    return found


class Linked(Protocol):
    """What has its place in a graph."""

    @property
    def id(self) -> str:
        """Its key."""
        ...

    @property
    def depends_on(self) -> Sequence[str]:
        """The keys of those before it."""
        ...


Node = TypeVar("Node", bound=Linked)


def dependencies_first(steps: Sequence[Node]) -> Sequence[Node]:
    """As they are given, as far as what each depends on comes before it."""
    seen: set[str] = set()
    here = {step.id for step in steps}
    for step in steps:
        if any(each in here and each not in seen for each in step.depends_on):
            break
        seen.add(step.id)
    else:
        return steps
    sorter: TopologicalSorter[int] = TopologicalSorter()
    places = {step.id: place for place, step in enumerate(steps)}
    for place, step in enumerate(steps):
        sorter.add(place, *(places[each] for each in step.depends_on if each in places))
    sorter.prepare()
    ready = list(sorter.get_ready())
    found = []
    while ready:
        heapify(ready)
        place = heappop(ready)
        found.append(steps[place])
        sorter.done(place)
        ready += sorter.get_ready()
    return found


def members(view: RunView) -> dict[str, list[str]]:
    """The members of each group, by its id."""
    found: dict[str, list[str]] = {}
    for step in view.steps.values():
        if step.parent is not None:
            found.setdefault(step.parent, []).append(step.id)
    return found


def _leaves(view: RunView) -> dict[str, list[str]]:
    """Of each group the members that no other member comes after: what comes after it comes after them."""
    found: dict[str, list[str]] = {}
    for parent, inside in members(view).items():
        followed = {each for member in inside for each in view.steps[member].depends_on}
        found[parent] = [member for member in inside if member not in followed]
    return found


def _ends(view: RunView, step_id: str, leaves: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What a step ends with: its last members, or itself."""
    if step_id not in leaves:
        yield step_id
    for member in leaves.get(step_id, ()):
        yield from _ends(view, member, leaves)


def _standing(view: RunView, wanted: Wanted) -> dict[str, str]:
    """Of each step the one whose row it is seen in: its own, a folded group's, or that of its siblings."""
    standing: dict[str, str] = {}
    siblings: list[StepView] = []

    def close() -> None:
        if len(siblings) >= _RUN:
            standing.update(dict.fromkeys((step.id for step in siblings), siblings[0].id))
        siblings.clear()

    groups = members(view)
    for step in ordered(view):
        parent = view.steps.get(step.parent or "")
        if parent is not None and (standing[parent.id] != parent.id or not wanted.open.get(parent.id, True)):
            standing[step.id] = standing[parent.id]
            continue
        standing[step.id] = step.id
        foldable = wanted.may_fold(step) and step.id not in groups
        if siblings and not (foldable and _is_sibling(siblings[-1], step)):
            close()
        if foldable:
            siblings.append(step)
    close()
    return standing


def _is_sibling(one: StepView, other: StepView) -> bool:
    if one.depends_on is other.depends_on:
        return (one.parent, one.role) == (other.parent, other.role)
    return (one.parent, one.role, set(one.depends_on)) == (other.parent, other.role, set(other.depends_on))


def siblings_of(view: RunView, step_id: str, order: Sequence[str], place: int) -> list[str]:
    """The finished steps around a step that could be one row with it; too few are none.

    Args:
        view: the run.
        step_id: the step.
        order: the ids of all steps, as `ordered` has them.
        place: of the step therein.
    """
    mine = view.steps[step_id]
    begin, end = place, place + 1
    if not _can_fold(mine) or (end < len(order) and view.steps[order[end]].parent == step_id):
        return []
    while begin and _folds_with(view, mine, order[begin - 1]):
        begin -= 1
    while end < len(order) and _folds_with(view, mine, order[end]):
        end += 1
    return list(order[begin:end]) if end - begin >= _RUN else []


def _folds_with(view: RunView, step: StepView, other_id: str) -> bool:
    other = view.steps[other_id]
    return _can_fold(other) and _is_sibling(step, other)


def _can_fold(step: StepView) -> bool:
    """Whether it is over and well, with nothing to be seen within."""
    return step.status in (StepStatus.COMPLETED, StepStatus.SKIPPED) and not step.items


def _inside(step: StepView, wanted: Wanted) -> list[Key]:
    """The rows of a step's items."""
    if not step.items or not wanted.shows(step):
        return []
    if len(step.items) <= MANY:
        return [RowKey(step.id, index) for index in range(len(step.items))]
    lines = range(0, len(step.items), wanted.grid)
    return [TallyKey(step.id), *(GridKey(step.id, first) for first in lines)]


def _failed_first(view: RunView, wanted: Wanted) -> Iterator[Key]:
    steps = sorted(ordered(view), key=lambda step: _RANK[_worst(step)])
    for step in steps:
        yield RowKey(step.id)
        if not step.items:
            continue
        if len(step.items) <= MANY and wanted.shows(step):
            yield from (
                RowKey(step.id, item.index)
                for item in sorted(step.items, key=lambda item: (_RANK[item.status], item.index))
            )
            continue
        if step.tally.get(StepStatus.FAILED):
            failed = (item.index for item in step.items if item.status is StepStatus.FAILED)
            yield from (RowKey(step.id, index) for index, _ in zip(failed, range(_LISTED), strict=False))
        yield from _inside(step, wanted)


def _worst(step: StepView) -> StepStatus:
    """The status that a step is sorted by: that of an item of it that failed comes first."""
    return StepStatus.FAILED if step.tally.get(StepStatus.FAILED) else step.status


def _found(view: RunView, matches: Callable[[str], bool]) -> Rows:
    keys: list[Key] = []
    total = found = 0
    for step in ordered(view):
        total += 1 + len(step.items)
        mine = matches(f"{step.name} {step.id}")
        items = [item.index for item in step.items if matches(item_text(step, item))]
        if mine or items:
            keys.append(RowKey(step.id))
            keys += [RowKey(step.id, index) for index in items]
        found += mine + len(items)
    return Rows(tuple(keys), found=found, total=total)


def item_text(step: StepView, item: ItemView) -> str:
    """An item as it is shown, to look for."""
    return f"worker {item.index}" if step.workers else f"{item.index} {brief(item.value)}"


def next_failed(view: RunView, keys: Sequence[Key], key: Key | None, by: int) -> RowKey | None:
    """The next step or item that failed, from a row on, forwards or backwards and round the end.

    Items that no row shows are looked at too; a step whose failed items are found is passed over.
    """
    found = list(_failures(view))
    if not found:
        return None
    places = {each: place for place, each in enumerate(keys)}

    def place_of(failure: RowKey) -> tuple[int, int]:
        return places.get(RowKey(failure.step_id), len(places)), -1 if failure.item is None else failure.item

    found.sort(key=place_of)
    if not isinstance(key, RowKey | GridKey):
        return found[0] if by > 0 else found[-1]
    item = key.item if isinstance(key, RowKey) else key.first
    here = (places.get(RowKey(key.step_id), -1), -1 if item is None else item)
    later = [failure for failure in found if place_of(failure) > here]
    earlier = [failure for failure in found if place_of(failure) < here]
    return (later or found)[0] if by > 0 else (earlier or found)[-1]


def _failures(view: RunView) -> Iterator[RowKey]:
    for step in view.steps.values():
        if step.tally.get(StepStatus.FAILED):
            yield from (RowKey(step.id, i.index) for i in step.items if i.status is StepStatus.FAILED)
        elif step.status is StepStatus.FAILED:
            yield RowKey(step.id)
