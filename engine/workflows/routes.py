"""Decisions and branches of a document: what they judge is compiled, and where they lead is checked."""

from __future__ import annotations

from engine.workflows.compiling import At, Compiler
from engine.workflows.graph import Draft
from engine.workflows.routing import ROUTING
from engine.workflows.wording import advice, listing, quoted, show


def check_routing(draft: Draft, compiler: Compiler) -> None:
    """Compile what a decision or branch judges, and check the names of a decision's branches."""
    decision, branch = draft.document.decision_node, draft.document.branch_config
    if draft.type in ROUTING and draft.parent is not None:
        compiler.error(
            (*draft.at, "type"),
            f"a {draft.type} step cannot be a member of a parallel step: move it out of `steps`",
        )
    if decision is not None:
        at: At = (*draft.at, "decision_node")
        if decision.input_path is not None:
            compiler.path(decision.input_path, (*at, "input_path"), draft.id, "decision_node.input_path")
        known = len(compiler.readings)
        for index, one in enumerate(decision.choices or ()):
            where: At = (*at, "choices", index, "condition")
            compiler.condition(one.condition, where, draft.id, "condition")
        if decision.input_path is not None:
            del compiler.readings[known:]  # their `$` is the value at `input_path`, not the state
        _check_decision_branches(draft, compiler)
    if branch is not None:
        targets = ("true_steps", "false_steps", "true_workflow", "false_workflow")
        if not any(getattr(branch, key) for key in targets) and not compiler.damaged(
            (*draft.at, "branch_config")
        ):
            compiler.error(
                (*draft.at, "branch_config"), f"`branch_config` leads nowhere: add one of {listing(targets)}"
            )
        where = (*draft.at, "branch_config", "condition")
        compiler.condition(branch.condition, where, draft.id, "branch_config.condition")


def _check_decision_branches(draft: Draft, compiler: Compiler) -> None:
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
        if way.condition is not None:
            compiler.condition(way.condition, (*at, "branches", index, "condition"), draft.id, "condition")
        elif way.id != decision.default:
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
