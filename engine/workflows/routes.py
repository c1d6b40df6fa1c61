"""Decisions and branches of a document: what they judge is compiled, and where they lead is checked."""

from __future__ import annotations

from collections.abc import Callable

from engine.workflows.compiling import At, Compiler
from engine.workflows.conditions import focused
from engine.workflows.expressions import JsonPath
from engine.workflows.graph import Draft
from engine.workflows.plan import Choice, Condition, RoutePlan, StepType, SubWorkflowPlan
from engine.workflows.ways import Way, Word
from engine.workflows.wording import advice, listing, quoted, show

ROUTING = frozenset((StepType.DECISION, StepType.BRANCH))

# Plans the workflow that a way names, for a branch that runs it itself.
PlanWorkflow = Callable[[Word], SubWorkflowPlan]


def plan_route(draft: Draft, compiler: Compiler, plan_workflow: PlanWorkflow) -> RoutePlan | None:
    """The ways out of a decision or branch, its targets resolved by now; None for other steps."""
    if draft.type not in ROUTING:
        return None
    if draft.parent is not None:
        compiler.error(
            (*draft.at, "type"),
            f"a {draft.type} step cannot be a member of a parallel step: move it out of `steps`",
        )
    focus = _focus(draft, compiler)
    _check_branch_names(draft, compiler)
    _check_fork(draft, compiler)
    choices = []
    default = None
    for way in draft.ways:
        workflow = plan_workflow(way.workflow) if way.workflow is not None else None
        targets = tuple(way.targets)
        if way.is_default:
            default = Choice(way.label, None, targets, workflow)
        else:
            condition = _condition(way, draft, focus, compiler)
            choices.append(Choice(way.label, condition, targets, workflow))
    return RoutePlan(focus, tuple(choices), default)


def _focus(draft: Draft, compiler: Compiler) -> JsonPath | None:
    decision = draft.document.decision_node
    if decision is None or decision.input_path is None:
        return None
    at: At = (*draft.at, "decision_node", "input_path")
    return compiler.path(decision.input_path, at, draft.id, "decision_node.input_path")


def _condition(way: Way, draft: Draft, focus: JsonPath | None, compiler: Compiler) -> Condition | None:
    if way.condition is None:
        return None
    known = len(compiler.readings)
    label = "branch_config.condition" if draft.type is StepType.BRANCH else "condition"
    condition = compiler.condition(way.condition, way.condition_at, draft.id, label)
    if condition is None or focus is None:
        return condition
    del compiler.readings[known:]  # their `$` is the value at `input_path`, not the state
    return focused(condition, focus)


def _check_fork(draft: Draft, compiler: Compiler) -> None:
    branch, at = draft.document.branch_config, (*draft.at, "branch_config")
    keys = ("true_steps", "false_steps", "true_workflow", "false_workflow")
    if branch is None or compiler.damaged(at) or any(getattr(branch, key) for key in keys):
        return
    compiler.error(at, f"`branch_config` leads nowhere: add one of {listing(keys)}")


def _check_branch_names(draft: Draft, compiler: Compiler) -> None:
    decision = draft.document.decision_node
    if decision is None or decision.branches is None:
        return
    at: At = (*draft.at, "decision_node")
    ids: dict[str, int] = {}
    for index, way in enumerate(decision.branches):
        if ids.setdefault(way.id, index) != index:
            compiler.error(
                (*at, "branches", index, "id"), f"two branches have the id {quoted(way.id)}: rename one"
            )
        if way.condition is None and way.id != decision.default:
            compiler.error(
                (*at, "branches", index),
                f"the branch {quoted(way.id)} has no `condition` and is not the `default`: add one",
            )
    if decision.default is not None and decision.default not in {*ids, *compiler.forgiven}:
        compiler.error(
            (*at, "default"),
            f"`default`: there is no branch {show(decision.default)}: "
            f"{advice(decision.default, ids, kind='branches')}",
        )
