"""The graph of a workflow: who each step is, what it waits for, and where decisions lead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.workflows.compiling import At, Compiler
from engine.workflows.documents import StepDocument, WorkflowDocument
from engine.workflows.plan import StepRole, StepType
from engine.workflows.ways import Way, read_ways
from engine.workflows.wording import advice, listing, quoted, show

MAX_STEPS = 20_000

# The lists of steps by the role that they give, as the document calls them.
LISTS = {StepRole.MAIN: "steps", StepRole.ON_FAILURE: "on_failure", StepRole.FINALLY: "finally"}


@dataclass(slots=True, eq=False)
class Draft:
    """A step on its way into the plan; `at` is its path in the tree.

    `depends_on`, `order_only` and `routers` are those of `PlanStep`; the values are the places that say so.
    """

    document: StepDocument
    at: At
    ordinal: int
    parent: Draft | None
    role: StepRole = StepRole.MAIN
    id: str = ""
    type: StepType = StepType.SEQUENTIAL
    members: list[Draft] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    depends_on: dict[str, At] = field(default_factory=dict)
    order_only: dict[str, At] = field(default_factory=dict)
    routers: dict[str, At] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name for people."""
        return self.document.name or self.id

    @property
    def has_items(self) -> bool:
        """Whether it expands into items with task ids of their own."""
        workers = (self.document.max_workers or 1) > 1 or self.document.workers_path is not None
        return self.type is StepType.MAP or (self.type is StepType.PARALLEL and workers)


def draft_steps(document: WorkflowDocument, compiler: Compiler) -> list[Draft]:
    """All steps in document order, nested members right after their parent; none where there are too many."""
    lists = {
        StepRole.MAIN: document.steps,
        StepRole.ON_FAILURE: document.on_failure,
        StepRole.FINALLY: document.finally_,
    }
    if sum(1 + len(step.steps or ()) for steps in lists.values() for step in steps) > MAX_STEPS:
        compiler.error(
            ("steps",), f"there are more than {MAX_STEPS:,} steps: use a map step, or several workflows"
        )
        return []
    drafts: list[Draft] = []
    for role, steps in lists.items():
        for index, step in enumerate(steps):
            _draft_step(step, (LISTS[role], index), role, drafts, compiler)
    _name(drafts, compiler)
    return drafts


def _draft_step(
    document: StepDocument, at: At, role: StepRole, drafts: list[Draft], compiler: Compiler
) -> None:
    step = Draft(document, at, len(drafts), None, role, ways=read_ways(document, at))
    drafts.append(step)
    for number, member in enumerate(document.steps or ()):
        where: At = (*at, "steps", number)
        nested = Draft(member, where, len(drafts), step, role)
        step.members.append(nested)
        drafts.append(nested)
        if member.steps is not None:
            compiler.error(
                (*where, "steps"),
                "`steps`: a member of a parallel step cannot hold steps itself: nest one level only",
            )
        if member.depends_on is not None:
            compiler.error(
                (*where, "depends_on"),
                "`depends_on`: the members of a parallel step run together: take it out, "
                "or move this step out of the parallel step",
            )


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

    def __init__(self, drafts: Sequence[Draft], compiler: Compiler) -> None:
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
                self._compiler.error(at, f"`{label}`: {self._unknown(word, named, source)}")
            return None
        if target is source:
            self._compiler.error(at, f"`{label}`: the step names itself: take {quoted(word)} out")
            return None
        if target.role is not source.role:
            self._compiler.error(
                at,
                f"`{label}`: {quoted(word)} stands under `{LISTS[target.role]}`, and this step under "
                f"`{LISTS[source.role]}`, which have their turns one after the other: name a step of the "
                "same list",
            )
            return None
        if target.parent is not None:
            self._compiler.error(
                at,
                f"`{label}`: {quoted(word)} is a member of the parallel step {quoted(target.parent.id)}: "
                f"name {quoted(target.parent.id)} instead",
            )
            return None
        return target

    def _unknown(self, word: str, named: list[Draft], source: Draft) -> str:
        if named:
            ids = listing(quoted(draft.id) for draft in named)
            return f"{len(named)} steps have the name {show(word)}: give the id of one of them, {ids}"
        if self._compiler.findings.full:
            return "there is no such step"
        near = [draft for draft in self._ids.values() if draft.role is source.role]
        words = [*(draft.id for draft in near), *(draft.document.name for draft in near)]
        known = dict.fromkeys(filter(None, words))
        return f"there is no step {show(word)}: {advice(word, known, kind='steps')}"


def connect(drafts: Sequence[Draft], compiler: Compiler) -> None:
    """Fill in what each step waits for, and what each way out leads to.

    In a list of steps where none has `depends_on`, they wait in the order of the document.
    """
    references = References(drafts, compiler)
    for role in LISTS:
        top = [draft for draft in drafts if draft.parent is None and draft.role is role]
        for draft in top:
            for index, word in enumerate(draft.document.depends_on or ()):
                at: At = (*draft.at, "depends_on", index)
                target = references.resolve(word, at, "depends_on", draft)
                if target is not None:
                    draft.depends_on.setdefault(target.id, at)
        if all(draft.document.depends_on is None for draft in top):
            _document_order(top)
        for draft in top:
            _route(draft, references)


def _route(draft: Draft, references: References) -> None:
    """Resolve the steps that a decision or branch chooses between; they wait for it."""
    for way in draft.ways:
        for word in way.words:
            target = references.resolve(word.text, word.at, word.label, draft)
            if target is not None:
                way.targets.setdefault(target.id, word.at)
                target.routers.setdefault(draft.id, word.at)
                target.depends_on.setdefault(draft.id, word.at)
                target.order_only.pop(draft.id, None)


def _document_order(top: Sequence[Draft]) -> None:
    """One after the other; neighbouring parallel steps form one group that runs together."""
    before: list[Draft] = []
    group: list[Draft] = []
    for draft in top:
        together = group and draft.type is StepType.PARALLEL and group[-1].type is StepType.PARALLEL
        if group and not together:
            before, group = group, []
        group.append(draft)
        draft.order_only = {one.id: draft.at for one in before}
        draft.depends_on = dict(draft.order_only)
