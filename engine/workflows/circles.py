"""Who waits for whom: that nothing waits for itself, and what is finished when a step begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from engine.workflows.compiling import At, Compiler
from engine.workflows.graph import Draft
from engine.workflows.plan import StepRole
from engine.workflows.wording import quoted

MAX_CIRCLES_SHOWN = 10
_LONGEST_SHOWN = 12
_TURNS = tuple(StepRole)


def check_circles(drafts: Sequence[Draft], compiler: Compiler) -> bool:
    """Note every circle of waiting, each with its steps in order; True if there is none."""
    top = {draft.id: draft for draft in drafts if draft.parent is None}
    edges: dict[str, dict[str, At]] = {draft.id: dict(draft.depends_on) for draft in top.values()}
    for count in range(MAX_CIRCLES_SHOWN):
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1][1:]))  # each waits for the one after it
            start = min(range(len(circle)), key=lambda index: top[circle[index]].ordinal)
            _note_circle(circle[start:] + circle[:start], top, edges, compiler)
        else:
            return not count
    return False


def _note_circle(
    circle: list[str], top: dict[str, Draft], edges: dict[str, dict[str, At]], compiler: Compiler
) -> None:
    """Say which steps wait for each other, and take one of the edges out, to find the other circles."""
    pairs = list(zip(circle, [*circle[1:], circle[0]], strict=True))
    for index, (target, router) in enumerate(pairs):
        if router in top[target].routers:
            del edges[target][router]
            at = top[target].routers[router]
            way = [*circle[index + 1 :], *circle[: index + 1]]
            how = f" ({_shown(way)}, each waits for the next)" if len(way) > 2 else ""
            compiler.error(
                at,
                f"{quoted(router)} cannot choose {quoted(target)}, which it waits for{how}: "
                "choose a step that comes after it, or put that step behind it",
            )
            return
    compiler.error(
        edges[circle[0]].pop(pairs[0][1]),
        f"these steps wait for each other in a circle: {_shown([*circle, circle[0]])} "
        "(each waits for the next): take one of these dependencies out",
    )


def _shown(way: list[str]) -> str:
    return " -> ".join(way if len(way) <= _LONGEST_SHOWN + 1 else [*way[: _LONGEST_SHOWN - 1], "…", way[-1]])


class Upstream:
    """Which steps are finished when a step begins, as bit sets: small and quick for thousands of steps."""

    def __init__(self, drafts: Iterable[Draft]) -> None:
        """The graph of `drafts` must have no circles."""
        drafts = list(drafts)
        top = {draft.id: draft for draft in drafts if draft.parent is None}
        self._bits = {draft.id: 1 << draft.ordinal for draft in drafts}
        own = {draft.id: sum(self._bits[one.id] for one in (draft, *draft.members)) for draft in top.values()}
        earlier = dict.fromkeys(_TURNS, 0)
        for draft in drafts:
            for role in _TURNS[_TURNS.index(draft.role) + 1 :]:
                earlier[role] |= self._bits[draft.id]
        self._turn = {draft.id: _TURNS.index(draft.role) for draft in drafts}
        self._above: dict[str, int] = {}
        for step in TopologicalSorter({id: draft.depends_on for id, draft in top.items()}).static_order():
            above = earlier[top[step].role]
            for other in top[step].depends_on:
                above |= own[other] | self._above[other]
            self._above[step] = above
        for draft in drafts:
            if draft.parent is not None:
                self._above[draft.id] = self._above[draft.parent.id]

    def finished_before(self, other: str, step: str) -> bool:
        """Whether `other` is finished when `step` begins."""
        return bool(self._bits[other] & self._above[step])

    def has_later_turn(self, other: str, step: str) -> bool:
        """Whether `other` begins only when all of the list that `step` stands in is over."""
        return self._turn[other] > self._turn[step]
