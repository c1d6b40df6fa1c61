"""Linking: the workflows that a plan's steps run are found, checked, and put into the plan.

A name means the same in a whole family of workflows: `Plan.children` is flat, and a run keeps the texts of
all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.errors import DocumentError, Problem
from engine.workflows.finding import UnfitError, WorkflowDirectories, usable
from engine.workflows.loader import TEXT, Loaded, load, load_text
from engine.workflows.plan import Plan, PlanStep, SubWorkflowPlan
from engine.workflows.source import printable
from engine.workflows.wording import listing, quoted, show

MAX_DEPTH = 10
# What a run kept was linked when it began, under the bound of that time.
_ANY_DEPTH = 100

# Finds a workflow by the name that a step uses; raises `UnfitError` where none can be had.
Finder = Callable[[str], Plan]


def load_linked(path: Path | str, directory: Path | None = None, max_depth: int = MAX_DEPTH) -> Loaded:
    """Load a workflow file with the workflows that it runs, from beside it or else from `directory`.

    Never raises for anything that is wrong with the files.
    """
    places = dict.fromkeys([Path(path).parent, *([directory] if directory is not None else [])])
    return linked(load(path), WorkflowDirectories(tuple(places)).find, max_depth)


def linked(loaded: Loaded, find: Finder, max_depth: int = MAX_DEPTH) -> Loaded:
    """What was loaded, linked: without a plan, and with the problems, where it cannot be."""
    if loaded.plan is None:
        return loaded
    try:
        plan = link(loaded.plan, find, max_depth)
    except DocumentError as error:
        return replace(loaded, plan=None, problems=tuple(sorted((*loaded.problems, *error.problems))))
    return loaded if plan is loaded.plan else replace(loaded, plan=plan)


def link(plan: Plan, find: Finder, max_depth: int = MAX_DEPTH) -> Plan:
    """The plan with `children` filled in, its own and theirs; they, too, are linked.

    A plan that runs no workflows is given back as it is.

    Raises:
        DocumentError: a workflow is missing, ambiguous or broken, comes back to itself, is not given a param
            that it needs, or lies more than `max_depth` levels deep; one problem for each step concerned.
    """
    try:
        return _Linker(find, max_depth).link(plan, (plan,)).plan
    except _UnlinkableError as error:
        raise DocumentError(error.problems) from None


def link_from(plan: Plan, documents: Mapping[str, tuple[str, str | None]]) -> Plan:
    """The plan linked with texts that were kept: by the name that the steps use, the text and its path.

    Raises:
        DocumentError: a text is not there, or cannot be loaded any more.
    """

    def find(name: str) -> Plan:
        if name not in documents:
            raise UnfitError(f"the text of the workflow {show(name)} was not kept")
        text, path = documents[name]
        return usable(name, load_text(text, path))

    return link(plan, find, _ANY_DEPTH)


def subs_of(step: PlanStep) -> Iterator[SubWorkflowPlan]:
    """The workflows that a step runs, or may run."""
    if step.sub is not None:
        yield step.sub
    for choice in step.route.ways if step.route is not None else ():
        if choice.workflow is not None:
            yield choice.workflow


Trail = tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class _Linked:
    """A linked plan, and how many levels of workflows lie below it."""

    plan: Plan
    height: int = 0


class _UnlinkableError(Exception):
    """A plan cannot be linked; `cause` is the first problem where it arose, for those who run the plan."""

    def __init__(self, problems: tuple[Problem, ...], cause: str, circle: Trail = ()) -> None:
        super().__init__(cause)
        self.problems = problems
        self.cause = cause
        self.circle = circle


class _StepError(Exception):
    """A step's workflow cannot be had. `cause` as above; `circle` are the workflows that run each other."""

    def __init__(self, message: str, cause: str = "", circle: Trail = ()) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.circle = circle


@dataclass(slots=True)
class _Linker:
    """Links one plan; `trail` is always the plan at hand with those that run it, from the first one on."""

    find: Finder
    max_depth: int
    found: dict[str, Plan | _StepError] = field(default_factory=dict)
    known: dict[str, _Linked | _StepError] = field(default_factory=dict)

    def link(self, plan: Plan, trail: Trail) -> _Linked:
        """The plan with its children.

        Raises:
            _UnlinkableError: it cannot be.
        """
        steps = dict(plan.steps)
        children: dict[str, Plan] = {}
        height = 0
        faults: list[tuple[Problem, _StepError]] = []
        inside: list[_UnlinkableError] = []
        for step in plan.steps.values():
            for sub in subs_of(step):
                try:
                    child = self._child(sub, step, trail)
                except _StepError as error:
                    faults.append((_problem(plan, sub, error.message), error))
                    continue
                except _UnlinkableError as error:  # of a workflow inside of this one: the same file
                    inside.append(error)
                    continue
                height = max(height, child.height + 1)
                children |= child.plan.children
                if sub.inline is None:
                    children[sub.name] = child.plan
                elif child.plan is not sub.inline:
                    steps[step.id] = replace(step, sub=replace(sub, inline=child.plan))
        if faults or inside:
            raise _unlinkable(faults, inside)
        if not children:
            return _Linked(plan, height)
        return _Linked(replace(plan, steps=steps, children=children), height)

    def _child(self, sub: SubWorkflowPlan, step: PlanStep, trail: Trail) -> _Linked:
        if sub.inline is None:
            child = self._named(sub.name, trail)
        else:
            self._check_depth(sub.inline, 0, trail)
            child = self.link(sub.inline, (*trail, sub.inline))
        self._check_depth(child.plan, child.height, trail)
        _check_params(sub, step, child.plan)
        return child

    def _named(self, name: str, trail: Trail) -> _Linked:
        plan = self._found(name)
        for index, above in enumerate(trail):
            if _same(plan, above):
                raise _seen_from(_StepError("", circle=trail[index:]), trail)
        self._check_depth(plan, 0, trail)
        known = self.known.get(name)
        if known is None:
            try:
                known = self.link(plan, (*trail, plan))
            except _UnlinkableError as error:
                message = f"the workflow {show(name)} cannot run: {error.cause}"
                known = _StepError(message, error.cause, error.circle)
            self.known[name] = known
        if isinstance(known, _StepError):
            raise _seen_from(known, trail)
        return known

    def _found(self, name: str) -> Plan:
        if name not in self.found:
            try:
                self.found[name] = self.find(name)
            except UnfitError as error:
                self.found[name] = _StepError(str(error))
        found = self.found[name]
        if isinstance(found, _StepError):
            raise found
        return found

    def _check_depth(self, child: Plan, height: int, trail: Trail) -> None:
        if len(trail) + height > self.max_depth:
            raise _StepError(
                f"workflows that run workflows are nested more than {self.max_depth} levels deep here: "
                f"{_chain((*trail, child))}{' -> …' if height else ''}: make them flatter, or raise max_depth"
            )


def _seen_from(error: _StepError, trail: Trail) -> _StepError:
    """The error as the plan at hand says it: every workflow of a circle begins the circle with itself."""
    for index, plan in enumerate(error.circle):
        if _same(plan, trail[-1]):
            circle = (*error.circle[index:], *error.circle[:index])
            return _StepError(
                f"these workflows run each other in a circle: {_chain((*circle, circle[0]))}: "
                "take one of these steps out",
                circle=circle,
            )
    return error


def _unlinkable(faults: list[tuple[Problem, _StepError]], inside: list[_UnlinkableError]) -> _UnlinkableError:
    """What is wrong with a plan, from what is wrong with its steps and the workflows inside of it."""
    problems = [problem for problem, _ in faults]
    causes = [(problem, error.cause or str(problem), error.circle) for problem, error in faults]
    for error in inside:
        problems += error.problems
        causes.append((error.problems[0], error.cause, error.circle))
    _, cause, circle = min(causes, key=lambda one: one[0])
    return _UnlinkableError(tuple(sorted(set(problems))), cause, circle)


def _check_params(sub: SubWorkflowPlan, step: PlanStep, child: Plan) -> None:
    """Where all that the child gets is written down, its required params must be among it."""
    if sub.inputs is None:
        return
    given = {*sub.inputs, *([step.map.item_alias] if step.map is not None else [])}
    lacking = [name for name, spec in child.params.items() if spec.required and name not in given]
    if lacking:
        names = listing(map(quoted, lacking))
        raise _StepError(
            f"the workflow {show(sub.name)} needs the param{'s' if len(lacking) > 1 else ''} {names}: "
            "add what it is to be to `inputs`"
        )


def _problem(plan: Plan, sub: SubWorkflowPlan, message: str) -> Problem:
    place = printable(plan.path) if plan.path is not None else TEXT
    return Problem(place, sub.line, sub.column, message)


def _same(one: Plan, other: Plan) -> bool:
    if one.path is not None and other.path is not None:
        return os.path.realpath(one.path) == os.path.realpath(other.path)
    return one.digest == other.digest


def _chain(plans: Trail) -> str:
    names = [plan.workflow if plan.workflow.isprintable() else show(plan.workflow) for plan in plans]
    return " -> ".join(names if len(names) <= 13 else [*names[:6], "…", *names[-6:]])
