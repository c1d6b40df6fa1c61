"""The ways out of a decision or branch as a document writes them, both dialects brought to one form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.workflows.compiling import At
from engine.workflows.documents import StepDocument
from engine.workflows.routing_documents import ConditionDocument, DecisionBranchDocument, DecisionDocument


@dataclass(frozen=True, slots=True)
class Word:
    """The id or name of a step, where it stands, and the field that it is the value of."""

    text: str
    at: At
    label: str


@dataclass(slots=True)
class Way:
    """One way out; `targets` are filled in when the graph is connected.

    Attributes:
        label: as in `plan.Choice`.
        at: the place of the way itself.
        condition, condition_at: None for a default.
        words: the steps that it leads to, as written.
        workflow: the workflow that the step itself runs then.
        targets: the ids of those steps.
    """

    label: str
    at: At
    condition: ConditionDocument | None = None
    condition_at: At = ()
    words: tuple[Word, ...] = ()
    workflow: Word | None = None
    targets: dict[str, At] = field(default_factory=dict)

    @property
    def is_default(self) -> bool:
        """Whether it is taken where no condition is true."""
        return self.condition is None


def read_ways(step: StepDocument, at: At) -> list[Way]:
    """The ways out in the order in which they are judged, a default last; none for other steps."""
    ways: list[Way] = []
    if step.decision_node is not None:
        base: At = (*at, "decision_node")
        read = _branches if step.decision_node.branches else _choices
        ways += read(step.decision_node, base)
    if step.branch_config is not None:
        ways += _fork(step, (*at, "branch_config"))
    return ways


def _choices(decision: DecisionDocument, base: At) -> list[Way]:
    ways = []
    for index, one in enumerate(decision.choices or ()):
        at: At = (*base, "choices", index)
        word = Word(one.next, (*at, "next"), "next")
        ways.append(Way(str(index + 1), at, one.condition, (*at, "condition"), (word,)))
    if decision.default is not None:
        word = Word(decision.default, (*base, "default"), "default")
        ways.append(Way("default", word.at, words=(word,)))
    return ways


def _branches(decision: DecisionDocument, base: At) -> list[Way]:
    branches = list(enumerate(decision.branches or ()))
    judged = sorted(branches, key=lambda one: -one[1].priority)
    ways = [_branch(one, index, base) for index, one in judged if one.condition is not None]
    for index, one in branches:
        if one.id == decision.default:
            way = _branch(one, index, base)
            ways.append(Way(way.label, way.at, words=way.words))
            break
    return ways


def _branch(branch: DecisionBranchDocument, index: int, base: At) -> Way:
    at: At = (*base, "branches", index)
    words = _words(branch.next_steps, (*at, "next_steps"), "next_steps")
    return Way(branch.id, at, branch.condition, (*at, "condition"), words)


def _fork(step: StepDocument, base: At) -> list[Way]:
    branch = step.branch_config
    if branch is None:
        return []
    ways = []
    for label, condition in (("true", branch.condition), ("false", None)):
        steps, workflow = f"{label}_steps", f"{label}_workflow"
        name = branch.true_workflow if condition else branch.false_workflow
        ways.append(
            Way(
                label,
                (*base, steps),
                condition,
                (*base, "condition"),
                _words(branch.true_steps if condition else branch.false_steps, (*base, steps), steps),
                Word(name, (*base, workflow), workflow) if name is not None else None,
            )
        )
    return ways


def _words(texts: Sequence[str], at: At, label: str) -> tuple[Word, ...]:
    return tuple(Word(text, (*at, index), label) for index, text in enumerate(texts))
