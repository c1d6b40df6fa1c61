"""Steps that can never run, found before anything does: nobody can choose them, or they ask the impossible.

Which ways of a decision lead to a step is kept as a bit set, one bit for each way and one for none at all. A
step whose set is empty cannot run. Other decisions are taken for free to choose what they like, so nothing is
refused that could run after all.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from graphlib import TopologicalSorter

from engine.workflows.compiling import Compiler
from engine.workflows.conditions import Combination, Comparison, Negation
from engine.workflows.graph import Draft
from engine.workflows.plan import Condition, PlanStep, Trigger
from engine.workflows.ways import Way
from engine.workflows.wording import listing, quoted

# Bounds what a hostile document can make us search: steps looked at, over all decisions.
MOST_LOOKS = 400_000


def check_reachable(drafts: Sequence[Draft], steps: Mapping[str, PlanStep], compiler: Compiler) -> None:
    """Note choices that are never taken, and steps that can never run; the graph must have no circles."""
    top = {draft.id: draft for draft in drafts if draft.parent is None}
    if not any(draft.ways for draft in top.values()):
        return
    edges = {draft.id: draft.depends_on for draft in top.values()}
    order = [top[step] for step in TopologicalSorter(edges).static_order()]
    ways = _Ways(order, steps)
    _check_dead(order, ways, compiler)
    if not compiler.findings.failed:
        _check_joins(order, ways, compiler)


class _Ways:
    """The ways out of every decision, and which of them are dead: judged after an equal condition.

    `lenient` are the steps that, without having run, can hand on that a condition before them was false.
    """

    def __init__(self, order: Sequence[Draft], steps: Mapping[str, PlanStep]) -> None:
        self.live: dict[str, list[Way]] = {}
        self.dead: list[tuple[Way, Way]] = []
        self.lenient: set[str] = set()
        conditional = {draft.id for draft in order if draft.document.condition is not None}
        for draft in order:
            strict = draft.document.trigger in (Trigger.ALL_SUCCESS, Trigger.ONE_SUCCESS)
            if strict and any(one in conditional or one in self.lenient for one in _awaited(draft)):
                self.lenient.add(draft.id)
            route = steps[draft.id].route
            seen: dict[Hashable, Way] = {}
            self.live[draft.id] = []
            for way, choice in zip(draft.ways, route.ways if route else (), strict=False):
                first = seen.setdefault(_signature(choice.condition), way)
                if first is way:
                    self.live[draft.id].append(way)
                else:
                    self.dead.append((way, first))

    def sets(self, order: Iterable[Draft], focus: Draft | None = None) -> dict[str, int]:
        """For each step of `order` the ways of `focus` with which it can run; without one, whether it can."""
        full = 1 if focus is None else (2 << len(self.live[focus.id])) - 1
        found: dict[str, int] = {}
        for draft in order:
            found[draft.id] = self._routed(draft, focus, found, full) & self._joined(draft, found, full)
        return found

    def _routed(self, draft: Draft, focus: Draft | None, found: dict[str, int], full: int) -> int:
        """The ways of `focus` with which a decision can choose the step."""
        if not draft.routers:
            return full
        bits = 0
        for router in draft.routers:
            for index, way in enumerate(self.live[router]):
                if draft.id in way.targets:
                    bits |= 1 << index if focus and router == focus.id else found.get(router, full)
        return bits

    def _joined(self, draft: Draft, found: dict[str, int], full: int) -> int:
        """The ways with which what the step waits for lets it run."""
        awaited = _awaited(draft)
        trigger = draft.document.trigger
        if not awaited or trigger in (Trigger.ALL_DONE, Trigger.NONE_FAILED):
            return full
        if trigger is Trigger.ALL_SUCCESS:
            bits = full
            for other in awaited:
                bits &= found.get(other, full)
            return bits
        # That it was chosen is enough, and so is a step that was skipped by its condition.
        if trigger is None and (draft.routers or not self.lenient.isdisjoint(awaited)):
            return full
        bits = 0
        for other in awaited:
            bits |= found.get(other, full)
        return bits


def _awaited(draft: Draft) -> list[str]:
    """What must have run for the step to run: neither what chooses it, nor what merely stands before it."""
    return [one for one in draft.depends_on if one not in draft.routers and one not in draft.order_only]


def _check_dead(order: Sequence[Draft], ways: _Ways, compiler: Compiler) -> None:
    if not ways.dead:
        return
    possible = ways.sets(order)
    for way, first in ways.dead:
        gone = {target for target in way.targets if not possible[target]}
        for draft in order:
            if not possible[draft.id] and not gone.isdisjoint(draft.depends_on):
                gone.add(draft.id)
        never = [draft.id for draft in order if draft.id in gone]
        line = compiler.line(first.condition_at)
        start = f"this choice is never taken: the one on line {line} has the same condition and comes first"
        if never:
            compiler.error(
                way.condition_at,
                f"{start}, so these steps can never run: {listing(map(quoted, never))}: "
                "change the condition, or take the choice out",
            )
        else:
            compiler.warning(way.condition_at, f"{start}: change the condition, or take it out", key=False)


def _check_joins(order: Sequence[Draft], ways: _Ways, compiler: Compiler) -> None:
    """Note steps that need two of the ways of one decision at once."""
    joins = {
        draft.id
        for draft in order
        if draft.document.trigger is Trigger.ALL_SUCCESS
        or (draft.document.trigger is Trigger.ONE_SUCCESS and draft.routers)
    }
    place = {draft.id: index for index, draft in enumerate(order)}
    after: dict[str, list[str]] = {draft.id: [] for draft in order}
    for draft in order:
        for one in draft.depends_on:
            after[one].append(draft.id)
    looks = 0
    # The last decisions first: they have the fewest steps behind them, and the joins near them.
    for focus in reversed([draft for draft in order if len(ways.live[draft.id]) > 1] if joins else []):
        behind = _reached(focus.id, after)
        looks += len(behind)
        if looks > MOST_LOOKS:
            return
        if joins.isdisjoint(behind):
            continue
        steps = [order[place[one]] for one in sorted(behind, key=place.__getitem__)]
        found = ways.sets(steps, focus)
        for draft in steps:
            if not found[draft.id] and draft.id in joins:
                joins.discard(draft.id)
                if all(found.get(one, 1) for one in draft.depends_on):
                    _note_join(draft, focus, found, compiler)


def _reached(start: str, after: Mapping[str, Sequence[str]]) -> set[str]:
    """The steps that come after `start`, at whatever distance."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for one in after[waiting.pop()]:
            if one not in reached:
                reached.add(one)
                waiting.append(one)
    return reached


def _note_join(draft: Draft, focus: Draft, found: dict[str, int], compiler: Compiler) -> None:
    awaited = [one for one in _awaited(draft) if one in found]
    clash = next(
        ([one, other] for one in awaited for other in awaited if not found[one] & found[other]), None
    )
    if draft.document.trigger is Trigger.ONE_SUCCESS:
        needs = f"one_success needs one of {listing(map(quoted, awaited))}"
        together = "any of them and this step"
        instead = "all_done"
    else:
        both = [*map(quoted, clash or awaited), *(["this step"] if draft.routers and not clash else [])]
        needs = "all_success needs all that it depends on"
        together = f"both {' and '.join(both)}" if len(both) == 2 else f"all of {listing(both)}"
        instead = "one_success" if clash else "all_done"
    compiler.error(
        (*draft.at, "trigger"),
        f"this step can never run: its trigger {needs}, and {quoted(focus.id)} never leads to {together}: "
        f"write `trigger: {instead}`, or take the trigger out",
    )


def _signature(condition: Condition | None) -> Hashable:
    """Equal for conditions that say the same in the same words; of a default equal to nothing else."""
    match condition:
        case Comparison():
            path = condition.path.source
            value = condition.value is not False if condition.operator == "exists" else condition.value
            return (
                path if path.startswith("$") else f"$.{path}",
                condition.operator,
                json.dumps(value, sort_keys=True),
            )
        case Combination():
            return (condition.every, *map(_signature, condition.parts))
        case Negation():
            return ("not", _signature(condition.part))
    return id(condition) if condition is not None else None
