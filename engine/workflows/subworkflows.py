"""Steps that run workflows: which one, what it is given, and what is taken from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.workflows.compiling import At, Compiler
from engine.workflows.documents import WorkflowDocument
from engine.workflows.expressions import JsonPath, JsonValue
from engine.workflows.fitness import has_child
from engine.workflows.graph import Draft
from engine.workflows.inline import PlanMaker, plan_inline
from engine.workflows.plan import StepType, SubWorkflowPlan
from engine.workflows.step_types import WORKFLOW_KEYS
from engine.workflows.tree import locate
from engine.workflows.ways import Word
from engine.workflows.wording import listing, quoted

# What stands for something else in every state.
_TAKEN = frozenset(("params", "steps"))


def plan_sub(
    draft: Draft, document: WorkflowDocument, compiler: Compiler, path: str | None, make_plan: PlanMaker
) -> SubWorkflowPlan | None:
    """The workflow of a sub-workflow step or of a map's items, None for other steps."""
    step = draft.document
    if not has_child(draft):
        for key in ("inputs", "outputs"):
            if getattr(step, key) is not None:
                compiler.error(
                    (*draft.at, key),
                    f"`{key}` belongs to steps that run a workflow: add `sub_workflow_name`, or take it out",
                )
        return None
    if draft.type is StepType.BRANCH:
        return None
    named = [key for key in WORKFLOW_KEYS if getattr(step, key)]
    if len(named) > 1:
        compiler.error(
            (*draft.at, named[1]),
            f"this step names its workflow in {listing(f'`{key}`' for key in named)}: keep one of them",
        )
        return None
    if step.workflow is None:
        word = Word(str(getattr(step, named[0])), (*draft.at, named[0]), named[0])
        return plan_named(draft, word, compiler)
    inputs, outputs = _handover(draft, compiler)
    at: At = (*draft.at, "workflow")
    plan = plan_inline(step.workflow, at, draft.id, document, compiler, path, make_plan)
    if plan is None:
        return None
    line, column = locate(compiler.tree, at, key=True)
    return SubWorkflowPlan(plan.workflow, plan, inputs, outputs, line, column)


def plan_named(draft: Draft, word: Word, compiler: Compiler) -> SubWorkflowPlan:
    """A workflow that a step names; whether there is one shows when workflows are linked."""
    inputs, outputs = _handover(draft, compiler)
    line, column = locate(compiler.tree, word.at)
    return SubWorkflowPlan(word.text, None, inputs, outputs, line, column)


def _handover(
    draft: Draft, compiler: Compiler
) -> tuple[Mapping[str, JsonValue] | None, str | Mapping[str, JsonPath]]:
    """What a step's workflow is given, None for the whole state; and what is taken from it."""
    step = draft.document
    inputs = None
    if step.inputs is not None:
        inputs = {
            key: value
            for key, source in step.inputs.items()
            if (value := _input(key, source, draft, compiler)) is not None
        }
    if not isinstance(step.outputs, dict):
        return inputs, step.outputs or "merge"
    outputs = {}
    known = len(compiler.readings)
    for key, text in step.outputs.items():
        at: At = (*draft.at, "outputs", key)
        _check_field(key, at, "outputs", compiler)
        if (path := compiler.path(text, at, draft.id, f"outputs.{key}")) is not None:
            outputs[key] = path
    del compiler.readings[known:]  # they read the child's state
    return inputs, outputs


def _input(key: str, source: Any, draft: Draft, compiler: Compiler) -> JsonValue | None:
    at: At = (*draft.at, "inputs", key)
    _check_field(key, at, "inputs", compiler)
    return compiler.value(source, at, draft.id, f"inputs.{key}")


def _check_field(key: str, at: At, label: str, compiler: Compiler) -> None:
    if key in _TAKEN:
        compiler.error(
            at,
            f"`{label}.{key}`: the name {quoted(key)} stands for a run's own {key} in templates: "
            "choose another",
        )
