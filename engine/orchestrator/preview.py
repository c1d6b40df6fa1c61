"""What a run would do, worked out before anything runs (`run --dry-run`).

It is assumed that nothing fails. What is not known before the run is not guessed: the steps that hang on it
are said to depend on it. To find those, the graph is gone through once for every combination of answers that
is possible, by the very rules of a run (`triggers`); where there are too many, a step depends on all that
lies before it and is not known.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from engine.errors import Reason
from engine.events import StepStatus
from engine.orchestrator.creation import initial_state
from engine.orchestrator.handing import hand_on
from engine.orchestrator.outcome import Outcome, failed, skipped
from engine.orchestrator.triggers import judge
from engine.workflows.foresight import Certainty, Foresight
from engine.workflows.plan import Plan, PlanStep, StepRole, SubWorkflowPlan

# Steps that are judged in all combinations together: under a second.
_BUDGET = 200_000
_CHILD_BUDGET = 5_000

# Steps of child runs that are gone into: workflows may run workflows a thousandfold.
_CHILD_STEPS = 500

# Doubts that are told of a step where there are too many to go through them all.
_TOLD = 10

# Answers to all doubts, and what the steps come to with them.
World = tuple[tuple[Any, ...], dict[str, Outcome]]

_COMPLETED = Outcome(StepStatus.COMPLETED)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A question that is open, or may yet be answered otherwise.

    Attributes:
        step_id: whose condition or decision it is.
        is_choice: a decision's, else a condition's.
        options: the possible answers (labels of ways, or truth values), the one of now first.
        is_open: whether there is no answer of now at all.
        reads: the paths that are not known.
    """

    step_id: str
    is_choice: bool
    options: tuple[Any, ...]
    is_open: bool
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepPreview:
    """What becomes of one step.

    Attributes:
        step: the step.
        stage: 1 for what starts at once, 2 for what waits for that, and so on; counted for each role.
        would: `run`, `skip`, `fail` or `depends`.
        reason: of a skip or failure.
        text: why, in words.
        as_of_now: whether steps may yet change that.
        depends: what it depends on.
        choice: the way that a decision goes, None where that is not known.
        choice_as_of_now: whether steps may yet change the choice.
        items: how many items a map step, or workers a parallel step, has; None where that is not known.
        items_as_of_now: whether steps may yet change that number.
        children: the workflows that it runs as child runs, if it comes to that.
    """

    step: PlanStep
    stage: int
    would: str
    reason: Reason | None = None
    text: str = ""
    as_of_now: bool = False
    depends: tuple[Doubt, ...] = ()
    choice: str | None = None
    choice_as_of_now: bool = False
    items: int | None = None
    items_as_of_now: bool = False
    children: tuple[ChildPreview, ...] = ()


@dataclass(frozen=True, slots=True)
class ChildPreview:
    """What becomes of the steps of a child run.

    Attributes:
        workflow: its workflow.
        choice: the way of a decision that it is run for.
        steps: as for a run of its own; None where there are too many child runs to go into.
    """

    workflow: str
    choice: str | None
    steps: tuple[StepPreview, ...] | None


def preview_steps(plan: Plan, params: Mapping[str, Any]) -> list[StepPreview]:
    """Every step with what would become of it: by role, then in the order in which they would run."""
    return _Family().preview(plan, Foresight(initial_state(plan, params), True), _BUDGET)


class _Family:
    """Previews a run with the runs that are part of it."""

    def __init__(self) -> None:
        self._room = _CHILD_STEPS

    def preview(self, plan: Plan, foresight: Foresight, budget: int) -> list[StepPreview]:
        """The steps of one run, by role."""
        found: list[StepPreview] = []
        for role in StepRole:
            steps = [step for step in plan.steps.values() if step.role is role]
            if not steps:
                continue
            preview = _Preview(steps, foresight, budget, begins=role is StepRole.MAIN)
            for one in preview.steps():
                children = self._children(plan, one, preview.foresight_of(one.step))
                found.append(replace(one, children=tuple(children)))
        return found

    def _children(self, plan: Plan, one: StepPreview, foresight: Foresight) -> Iterator[ChildPreview]:
        if one.would not in ("run", "depends"):
            return
        of_item = (one.step.map.item_alias, "_map_index") if one.step.map is not None else ()
        for choice, sub in _workflows(one):
            child = sub.inline or plan.children[sub.name]
            if len(child.steps) > self._room:
                yield ChildPreview(child.workflow, choice, None)
                continue
            self._room -= len(child.steps)
            steps = self.preview(child, hand_on(foresight, sub, child, of_item), _CHILD_BUDGET)
            yield ChildPreview(child.workflow, choice, tuple(steps))


def _workflows(one: StepPreview) -> Iterator[tuple[str | None, SubWorkflowPlan]]:
    """The workflows that a step may run, with the choice that this is for."""
    if one.step.sub is not None:
        yield None, one.step.sub
    is_chosen = one.choice is not None and not one.choice_as_of_now
    for way in one.step.route.ways if one.step.route is not None else ():
        if way.workflow is not None and (way.label == one.choice or not is_chosen):
            yield way.label, way.workflow


class _Preview:
    """The steps of one role."""

    def __init__(self, steps: Sequence[PlanStep], foresight: Foresight, budget: int, *, begins: bool) -> None:
        self._budget = budget
        self._all = {step.id: step for step in steps}
        nodes = {step.id: step for step in steps if step.parent is None}
        upstreams = {step.id: [name for name in step.depends_on if name in nodes] for step in nodes.values()}
        self._order = [nodes[name] for name in TopologicalSorter(upstreams).static_order()]
        self._stages: dict[str, int] = {}
        self._foresight: dict[str, Foresight] = {}
        self._doubts: list[Doubt] = []
        self._answers: dict[tuple[str, bool], Any] = {}
        self._above: dict[str, tuple[Doubt, ...]] = {}
        for step in self._order:
            before = upstreams[step.id]
            self._stages[step.id] = 1 + max((self._stages[name] for name in before), default=0)
            at_once = begins and all(
                self._foresight[name].at_once and self._is_instant(name) for name in before
            )
            self._foresight[step.id] = replace(foresight, at_once=at_once)
            above = [doubt for name in before for doubt in self._above[name]]
            own = self._ask(step)
            self._doubts += own
            nearest = sorted(dict.fromkeys((*own, *above)), key=lambda doubt: not doubt.is_open)
            self._above[step.id] = tuple(nearest)[:_TOLD]
        self._worlds = self._possible_worlds()
        self._now = [world for world in self._worlds if self._is_now(world[0])]

    def steps(self) -> list[StepPreview]:
        """All of them, members right after the step that holds them."""
        found = []
        for step in sorted(self._order, key=lambda step: (self._stages[step.id], step.ordinal)):
            whole = self._preview(step)
            found.append(whole)
            found += [self._member(self._all[name], whole) for name in step.members]
        return found

    def foresight_of(self, step: PlanStep) -> Foresight:
        """What a step, or a member of one, will find."""
        return self._foresight[step.parent or step.id]

    # -- what is known --------------------------------------------------------------------------------

    def _is_instant(self, name: str) -> bool:
        """Whether nothing can change while a step runs: it only decides."""
        route = self._all[name].route
        return route is not None and all(way.workflow is None for way in route.ways)

    def _ask(self, step: PlanStep) -> list[Doubt]:
        """Answer the step's condition and choice; returns the doubts about that."""
        doubts = []
        foresight = self._foresight[step.id]
        guess = foresight.judge(step.condition)
        now = guess.value is not False
        self._answers[step.id, False] = now
        if guess.certainty is not Certainty.FIRM:
            is_open = guess.value is None
            doubts.append(Doubt(step.id, False, (now, not now), is_open, guess.reads))
        if step.route is not None:
            ways, certainty, reads = foresight.ways(step.route)
            # That no choice is true is a failure, and failures are not foreseen unless they are certain.
            ways = [way for way in ways if way is not None] or ways
            self._answers[step.id, True] = ways[0]
            if len(ways) > 1 and certainty is not Certainty.FIRM:
                is_open = certainty is Certainty.UNKNOWN
                doubts.append(Doubt(step.id, True, tuple(ways), is_open, reads))
        return doubts

    def _possible_worlds(self) -> list[World]:
        """What becomes of the steps for every combination of answers; of one where there are too many."""
        size = math.prod(len(doubt.options) for doubt in self._doubts)
        if size * len(self._order) > self._budget:
            return [((), self._go_through({}))]
        return [
            (answers, self._go_through(dict(zip(self._doubts, answers, strict=True))))
            for answers in itertools.product(*(doubt.options for doubt in self._doubts))
        ]

    def _go_through(self, answers: Mapping[Doubt, Any]) -> dict[str, Outcome]:
        said = {**self._answers, **{(doubt.step_id, doubt.is_choice): a for doubt, a in answers.items()}}
        outcomes: dict[str, Outcome] = {}
        for step in self._order:
            outcome = judge(step, outcomes, lambda name: False)
            if outcome is None and not said[step.id, False]:
                outcome = skipped(Reason.CONDITION_FALSE, "its condition is false")
            if outcome is None and step.route is not None:
                outcome = _chosen(step, said[step.id, True])
            outcomes[step.id] = outcome or _COMPLETED
        return outcomes

    # -- what becomes of a step -----------------------------------------------------------------------

    def _preview(self, step: PlanStep) -> StepPreview:
        now = self._worlds[0][1][step.id]
        if self._is_complete:
            is_open = tuple(doubt for place, doubt in enumerate(self._doubts) if self._opens(place, step.id))
            may_change = any(
                self._matters(place, step.id, self._worlds) for place in range(len(self._doubts))
            )
        else:
            above = [doubt for doubt in self._above[step.id] if _concerns(doubt, step)]
            is_open, may_change = tuple(doubt for doubt in above if doubt.is_open), bool(above)
        items, items_certainty = self._items(step)
        choice = [doubt for doubt in self._doubts if doubt.step_id == step.id and doubt.is_choice]
        return StepPreview(
            step,
            self._stages[step.id],
            "depends" if is_open else _WOULD[now.status],
            now.reason if not is_open else None,
            "" if is_open else now.error or "",
            as_of_now=may_change and not is_open,
            depends=is_open,
            choice=None if any(doubt.is_open for doubt in choice) else self._answers.get((step.id, True)),
            choice_as_of_now=bool(choice),
            items=items,
            items_as_of_now=items_certainty is Certainty.NOW,
        )

    @property
    def _is_complete(self) -> bool:
        """Whether all combinations of answers were gone through."""
        return len(self._worlds) > 1 or not self._doubts

    def _opens(self, place: int, step_id: str) -> bool:
        """Whether the step's fate hangs on an open doubt, all that has an answer being as it is now."""
        return self._doubts[place].is_open and self._matters(place, step_id, self._now)

    def _is_now(self, answers: tuple[Any, ...]) -> bool:
        told = zip(self._doubts, answers, strict=bool(answers))
        return all(doubt.is_open or answer == doubt.options[0] for doubt, answer in told)

    @staticmethod
    def _matters(place: int, step_id: str, worlds: Sequence[World]) -> bool:
        """Whether the step's fate hangs on the doubt at `place`, in whatever way the others are answered."""
        fates: dict[tuple[Any, ...], StepStatus] = {}
        for answers, outcomes in worlds:
            others = answers[:place] + answers[place + 1 :]
            if fates.setdefault(others, outcomes[step_id].status) is not outcomes[step_id].status:
                return True
        return False

    def _member(self, member: PlanStep, whole: StepPreview) -> StepPreview:
        """A member of a parallel step: it shares that one's fate, and may have a condition of its own."""
        foresight = self._foresight[whole.step.id]
        guess = foresight.judge(member.condition)
        items, items_certainty = self._items(member, foresight)
        would, reason, text, depends = whole.would, whole.reason, whole.text, whole.depends
        if guess.value is None and would in ("run", "depends"):
            doubt = Doubt(member.id, False, (True, False), True, guess.reads)
            would, depends = "depends", (*depends, doubt)
        elif guess.value is False and would in ("run", "depends"):
            would, reason, text, depends = "skip", Reason.CONDITION_FALSE, "its condition is false", ()
        return StepPreview(
            member,
            whole.stage,
            would,
            reason,
            text,
            as_of_now=whole.as_of_now or guess.certainty is Certainty.NOW,
            depends=depends,
            items=items,
            items_as_of_now=items_certainty is Certainty.NOW,
        )

    def _items(self, step: PlanStep, foresight: Foresight | None = None) -> tuple[int | None, Certainty]:
        foresight = foresight or self._foresight[step.id]
        if step.map is not None:
            length, certainty = foresight.length(step.map.input_path)
            return (None if length is None else math.ceil(length / step.map.batch_size)), certainty
        if step.workers_path is not None:
            return foresight.length(step.workers_path)
        return (step.workers if step.workers > 1 else None), Certainty.FIRM


_WOULD = {StepStatus.COMPLETED: "run", StepStatus.SKIPPED: "skip", StepStatus.FAILED: "fail"}


def _concerns(doubt: Doubt, step: PlanStep) -> bool:
    """A decision's own choice says nothing about whether it is made."""
    return doubt.step_id != step.id or not doubt.is_choice


def _chosen(step: PlanStep, label: str | None) -> Outcome:
    assert step.route is not None, "only decisions and branches choose"
    for way in step.route.ways:
        if way.label == label:
            result = {"choice": label, "next": list(way.targets)}
            return Outcome(StepStatus.COMPLETED, result=result)
    return failed(Reason.NO_CHOICE_MATCHED, "none of its choices is true, and it has no default")
