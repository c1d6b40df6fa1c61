"""The graph of a workflow: who each step is, what it waits for, and that nothing waits for itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from engine.workflows.compiling import At, Compiler
from engine.workflows.documents import StepDocument
from engine.workflows.plan import StepType
from engine.workflows.wording import advice, listing, quoted, show

MAX_CYCLES_SHOWN = 10
MAX_STEPS = 20_000


@dataclass(slots=True, eq=False)
class Draft:
    """A step on its way into the plan; `at` is its path in the tree."""

    document: StepDocument
    at: At
    ordinal: int
    parent: Draft | None
    id: str = ""
    type: StepType = StepType.SEQUENTIAL
    members: list[Draft] = field(default_factory=list)
    depends_on: dict[str, At] = field(default_factory=dict)
    targets: dict[str, At] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name for people."""
        return self.document.name or self.id

    @property
    def has_items(self) -> bool:
        """Whether it expands into items with task ids of their own."""
        workers = self.document.max_workers or 1
        return self.type is StepType.MAP or (self.type is StepType.PARALLEL and workers > 1)


def draft_steps(documents: Sequence[StepDocument], compiler: Compiler) -> list[Draft]:
    """All steps in document order, nested members right after their parent; none where there are too many."""
    if sum(1 + len(document.steps or ()) for document in documents) > MAX_STEPS:
        compiler.error(
            ("steps",), f"there are more than {MAX_STEPS:,} steps: use a map step, or several workflows"
        )
        return []
    drafts: list[Draft] = []
    for index, document in enumerate(documents):
        step = Draft(document, ("steps", index), len(drafts), None)
        drafts.append(step)
        for number, member in enumerate(document.steps or ()):
            at: At = (*step.at, "steps", number)
            nested = Draft(member, at, len(drafts), step)
            step.members.append(nested)
            drafts.append(nested)
            if member.steps is not None:
                compiler.error(
                    (*at, "steps"),
                    "`steps`: a member of a parallel step cannot hold steps itself: nest one level only",
                )
            if member.depends_on is not None:
                compiler.error(
                    (*at, "depends_on"),
                    "`depends_on`: the members of a parallel step run together: take it out, "
                    "or move this step out of the parallel step",
                )
    _name(drafts, compiler)
    return drafts


def slug(name: str) -> str:
    """An id made from a name: ASCII letters, digits and hyphens, at most 64 characters."""
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_.]+", "-", folded).strip("-._")[:64].rstrip("-._")


def _name(drafts: list[Draft], compiler: Compiler) -> None:
    """Give every step its id; note missing, equal and confusable ones."""
    seen: dict[str, Draft] = {}
    for draft in drafts:
        document = draft.document
        draft.id = document.id or slug(document.name or "")
        if not draft.id:
            compiler.error(
                draft.at,
                f"the name {show(document.name)} gives no id: add an `id` of letters and digits"
                if document.name
                else "this step has neither `id` nor `name`: add one",
            )
            draft.id = f"step-{draft.ordinal + 1}"  # only to go on checking
            continue
        first = seen.setdefault(draft.id.casefold(), draft)
        if first is not draft:
            _note_equal(draft, first, compiler)


def _note_equal(draft: Draft, first: Draft, compiler: Compiler) -> None:
    field_name = "id" if draft.document.id else "name"
    line = compiler.line((*first.at, "id" if first.document.id else "name"))
    if draft.id == first.id:
        made = "" if draft.document.id else f" (made from the name {show(draft.name)})"
        message = f"the id {quoted(draft.id)}{made} is taken by the step on line {line}: choose another `id`"
    else:
        message = (
            f"the id {quoted(draft.id)} differs only in upper and lower case from {quoted(first.id)} on line "
            f"{line}, and log files of the two would collide: choose another `id`"
        )
    compiler.error((*draft.at, field_name), message)
    draft.id = f"{draft.id} ({draft.ordinal + 1})"  # only to go on checking


def check_item_ids(drafts: list[Draft], compiler: Compiler) -> None:
    """Refuse ids that read like an item of another step (`pages-1` beside the map `pages`)."""
    expanding = {draft.id: draft for draft in drafts if draft.has_items}
    for draft in drafts:
        match = re.fullmatch(r"(.+)[-.][0-9]+", draft.id)
        if match and match[1] in expanding and expanding[match[1]] is not draft:
            compiler.error(
                (*draft.at, "id" if draft.document.id else "name"),
                f"the id {quoted(draft.id)} reads like an item of the step {quoted(match[1])}, whose task "
                "ids and log files it would share: choose another `id`",
            )


class References:
    """Finds steps by id or by unique name."""

    def __init__(self, drafts: list[Draft], compiler: Compiler) -> None:
        self._compiler = compiler
        self._ids: dict[str, Draft] = {}
        self._names: dict[str, list[Draft]] = {}
        for draft in drafts:
            self._ids.setdefault(draft.id, draft)
            if draft.document.name:
                self._names.setdefault(draft.document.name, []).append(draft)

    def resolve(self, word: str, at: At, label: str, source: Draft) -> Draft | None:
        """The step meant by `word`, or None with the problem noted at `at`."""
        named = self._names.get(word, [])
        target = self._ids.get(word) or (named[0] if len(named) == 1 else None)
        if target is None:
            if word not in self._compiler.forgiven:
                self._compiler.error(at, f"`{label}`: {self._unknown(word, named)}")
            return None
        if target is source:
            self._compiler.error(at, f"`{label}`: the step names itself: take {quoted(word)} out")
            return None
        if target.parent is not None:
            self._compiler.error(
                at,
                f"`{label}`: {quoted(word)} is a member of the parallel step {quoted(target.parent.id)}: "
                f"name {quoted(target.parent.id)} instead",
            )
            return None
        return target

    def _unknown(self, word: str, named: list[Draft]) -> str:
        if named:
            ids = listing(quoted(draft.id) for draft in named)
            return f"{len(named)} steps have the name {show(word)}: give the id of one of them, {ids}"
        if self._compiler.findings.full:
            return "there is no such step"
        known = dict.fromkeys([*self._ids, *self._names])
        return f"there is no step {show(word)}: {advice(word, known, kind='steps')}"


def connect(drafts: list[Draft], compiler: Compiler) -> bool:
    """Fill in `depends_on` and `targets`: from the document, or from document order where it has none.

    Returns whether the graph is free of circles.
    """
    references = References(drafts, compiler)
    explicit = any(draft.document.depends_on is not None for draft in drafts if draft.parent is None)
    top = [draft for draft in drafts if draft.parent is None]
    for draft in top:
        for index, word in enumerate(draft.document.depends_on or ()):
            at: At = (*draft.at, "depends_on", index)
            target = references.resolve(word, at, "depends_on", draft)
            if target is not None:
                draft.depends_on.setdefault(target.id, at)
        _route(draft, references)
    if not explicit:
        _document_order(top)
    return _check_cycles(top, compiler)


def _route(draft: Draft, references: References) -> None:
    """Resolve the steps that a decision or branch chooses between."""
    words: list[tuple[str, At, str]] = []
    decision, branch = draft.document.decision_node, draft.document.branch_config
    if decision is not None:
        base: At = (*draft.at, "decision_node")
        for index, one in enumerate(decision.choices or ()):
            words.append((one.next, (*base, "choices", index, "next"), "next"))
        for index, way in enumerate(decision.branches or ()):
            for number, word in enumerate(way.next_steps):
                at: At = (*base, "branches", index, "next_steps", number)
                words.append((word, at, "next_steps"))
        if decision.default is not None and not decision.branches:
            words.append((decision.default, (*base, "default"), "default"))
    if branch is not None:
        for key, steps in (("true_steps", branch.true_steps), ("false_steps", branch.false_steps)):
            for number, word in enumerate(steps):
                words.append((word, (*draft.at, "branch_config", key, number), key))
    for word, at, label in words:
        target = references.resolve(word, at, label, draft)
        if target is not None:
            draft.targets.setdefault(target.id, at)


def _document_order(top: list[Draft]) -> None:
    """One after the other; neighbouring parallel steps form one group that runs together."""
    before: list[Draft] = []
    group: list[Draft] = []
    for draft in top:
        together = group and draft.type is StepType.PARALLEL and group[-1].type is StepType.PARALLEL
        if group and not together:
            before, group = group, []
        group.append(draft)
        draft.depends_on = {one.id: draft.at for one in before}


def _check_cycles(top: list[Draft], compiler: Compiler) -> bool:
    """Note every circle of waiting, each with its steps in order; True if there is none."""
    drafts = {draft.id: draft for draft in top}
    edges: dict[str, dict[str, At]] = {draft.id: dict(draft.depends_on) for draft in top}
    for draft in top:
        for target, at in draft.targets.items():
            edges[target].setdefault(draft.id, at)
    for count in range(MAX_CYCLES_SHOWN):
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1][1:]))  # each waits for the one after it
            start = min(range(len(circle)), key=lambda index: drafts[circle[index]].ordinal)
            circle = circle[start:] + circle[:start]
            pairs = list(zip(circle, [*circle[1:], circle[0]], strict=True))
            chosen = any(step in drafts[other].targets for step, other in pairs)
            at = edges[circle[0]].pop(pairs[0][1])
            shown = circle if len(circle) <= 12 else [*circle[:11], "…"]
            way = " -> ".join([*shown, circle[0]])
            how = "waits for the next, or is chosen by it" if chosen else "waits for the next"
            compiler.error(
                at,
                f"these steps wait for each other in a circle: {way} (each {how}): "
                "take one of these dependencies out",
            )
        else:
            return not count
    return False


class Upstream:
    """Which steps are finished when a step begins, as bit sets: small and quick for thousands of steps."""

    def __init__(self, drafts: list[Draft]) -> None:
        """The graph of `drafts` must have no cycles."""
        top = [draft for draft in drafts if draft.parent is None]
        edges: dict[str, set[str]] = {draft.id: set(draft.depends_on) for draft in top}
        for draft in top:
            for target in draft.targets:
                edges[target].add(draft.id)
        self._bits = {draft.id: 1 << draft.ordinal for draft in drafts}
        own = {draft.id: sum(self._bits[one.id] for one in (draft, *draft.members)) for draft in top}
        self._above: dict[str, int] = {}
        for step in TopologicalSorter(edges).static_order():
            above = 0
            for other in edges[step]:
                above |= own[other] | self._above[other]
            self._above[step] = above
        for draft in drafts:
            if draft.parent is not None:
                self._above[draft.id] = self._above[draft.parent.id]

    def finished_before(self, other: str, step: str) -> bool:
        """Whether `other` is finished when `step` begins."""
        return bool(self._bits[other] & self._above[step])
