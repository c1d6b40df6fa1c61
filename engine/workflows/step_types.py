"""What kind of step a step is: what it says itself, else what the blocks in it say."""

from __future__ import annotations

from engine.workflows.compiling import Compiler
from engine.workflows.graph import Draft
from engine.workflows.plan import StepType

# The fields that name the workflow of a step; one of them at most.
WORKFLOW_KEYS = ("sub_workflow_id", "sub_workflow_name", "workflow")

# The block that makes a step of a type, in the order in which a type is inferred.
_BLOCKS: tuple[tuple[str, StepType], ...] = (
    ("decision_node", StepType.DECISION),
    ("branch_config", StepType.BRANCH),
    ("map_config", StepType.MAP),
    *((key, StepType.SUBWORKFLOW) for key in WORKFLOW_KEYS),
    ("approval", StepType.APPROVAL),
    ("delay", StepType.DELAY),
    ("steps", StepType.PARALLEL),
    ("workers_path", StepType.PARALLEL),
)
# An approval asks "Go on?" where its block is left out.
_NEEDS_BLOCK = frozenset(
    (StepType.DECISION, StepType.BRANCH, StepType.MAP, StepType.SUBWORKFLOW, StepType.DELAY)
)


def type_of(draft: Draft, compiler: Compiler) -> StepType:
    """The type that is written, else the one that a block says; contradictions are noted."""
    document = draft.document
    present = [(key, kind) for key, kind in _BLOCKS if getattr(document, key) is not None]
    kind = document.type
    if kind is None:
        if present:
            kind = present[0][1]
        elif document.parallel:
            kind = StepType.PARALLEL
        else:
            kind = StepType.REDUCE if document.reduce else StepType.SEQUENTIAL
    for key, meant in present:
        # A map with a workflow: one child run for each item.
        if meant is not kind and not (kind is StepType.MAP and key in WORKFLOW_KEYS):
            compiler.error(
                (*draft.at, key),
                f"`{key}` belongs to {meant} steps, but this is a step of the type {kind}: "
                f"write `type: {meant}`, or take `{key}` out",
            )
    needed = " or ".join(f"`{key}`" for key, meant in _BLOCKS if meant is kind)
    lacking = kind in _NEEDS_BLOCK and not any(meant is kind for _, meant in present)
    if lacking and not compiler.damaged(draft.at):
        compiler.error((*draft.at, "type"), f"a {kind} step needs {needed}: add it, or take `type` out")
    return kind
