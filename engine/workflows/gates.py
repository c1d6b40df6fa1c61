"""What a step waits for besides others, and what it need not do again: approvals, delays, caches."""

from __future__ import annotations

from engine.workflows.compiling import At, Compiler
from engine.workflows.fitness import has_task
from engine.workflows.graph import Draft
from engine.workflows.plan import ApprovalPlan, CachePlan, StepType
from engine.workflows.policy_documents import ApprovalDocument


def plan_approval(draft: Draft, compiler: Compiler) -> ApprovalPlan | None:
    """The gate of an approval step, None for other steps."""
    if draft.type is not StepType.APPROVAL:
        return None
    document = draft.document.approval or ApprovalDocument.model_construct()
    at: At = (*draft.at, "approval")
    if not document.message.strip():
        compiler.error((*at, "message"), "`approval.message` is empty: write what is asked")
    message = compiler.template(document.message, (*at, "message"), draft.id, "approval.message")
    if document.default is not None and not draft.document.timeout:
        compiler.warning(
            (*at, "default"),
            "`approval.default` is the answer when the step's `timeout` is over, and there is none: add one",
        )
    if message is None:
        return None
    return ApprovalPlan(message, None if document.default is None else document.default == "approve")


def plan_delay(draft: Draft) -> float | None:
    """How long a delay step waits, in seconds; None for other steps."""
    return draft.document.delay if draft.type is StepType.DELAY else None


def plan_cache(draft: Draft, compiler: Compiler) -> CachePlan | None:
    """Whether and how results of the step's work are used again."""
    document = draft.document.cache
    if document is None or not has_task(draft):
        return None
    at: At = (*draft.at, "cache")
    if document.max_age == 0:
        compiler.error(
            (*at, "max_age"),
            "`cache.max_age`: found 0, with which no result would ever be used again: "
            "write `cache: false`, or take `max_age` out for results of any age",
        )
    key = None
    if document.key is not None:
        if not document.key.strip():
            compiler.error(
                (*at, "key"), "`cache.key` is empty: write what makes work the same, or take it out"
            )
        key = compiler.template(document.key, (*at, "key"), draft.id, "cache.key")
        if key is None:
            return None
    return CachePlan(key, document.max_age)
