"""Which warm agents serve a step: those of a named pool, or of a pool of its own."""

from __future__ import annotations

from engine.workflows.compiling import At, Compiler
from engine.workflows.documents import WorkflowDocument
from engine.workflows.fitness import has_task
from engine.workflows.graph import Draft
from engine.workflows.plan import PoolPlan
from engine.workflows.policy_documents import PoolDocument
from engine.workflows.wording import listing, nearest, quoted


def plan_pool(draft: Draft, document: WorkflowDocument, compiler: Compiler) -> PoolPlan | None:
    """The pool of a step, None where each task gets an agent of its own; what cannot be is noted."""
    step, at = draft.document, draft.at
    if not has_task(draft):
        return None
    if step.pool is not None:
        if step.pool_config is not None:
            compiler.error(
                (*at, "pool_config"),
                f"`pool_config`: the step uses the pool {quoted(step.pool)}, whose sizes stand under "
                "`pools`: remove one of the two",
            )
        if "execution_mode" in step.model_fields_set and step.execution_mode != "pooled":
            compiler.error(
                (*at, "execution_mode"),
                f"`execution_mode`: found {step.execution_mode}, but the step uses the pool "
                f"{quoted(step.pool)}: remove one of the two",
            )
        if step.pool not in document.pools:
            compiler.error((*at, "pool"), _no_such_pool(step.pool, document))
            return None
        return _pool(step.pool, document.pools[step.pool], compiler, ("pools", step.pool))
    if step.execution_mode == "pooled":
        here: At = (*at, "pool_config") if step.pool_config is not None else (*at, "execution_mode")
        return _pool(f"{document.name}/{draft.id}", step.pool_config or PoolDocument(), compiler, here)
    if step.pool_config is not None:
        compiler.warning(
            (*at, "pool_config"),
            "`pool_config` has no effect without `execution_mode: pooled`: each task gets a new agent",
        )
    return None


def _no_such_pool(name: str, document: WorkflowDocument) -> str:
    known = list(document.pools)
    if not known:
        return f"`pool`: there is no pool {quoted(name)}: describe it under `pools` at the top level"
    meant = nearest(name, known)
    hint = f"did you mean {quoted(meant)}?" if meant else f"there are {listing(known)}"
    return f"`pool`: there is no pool {quoted(name)} under `pools`: {hint}"


def _pool(name: str, document: PoolDocument, compiler: Compiler, at: At) -> PoolPlan:
    place = compiler.place(at)
    return PoolPlan(
        name,
        min_size=document.min_size,
        max_size=document.max_size,
        idle_timeout=document.idle_timeout,
        max_agent_uses=document.max_agent_uses,
        warm_up=document.warm_up,
        place=(place.line, place.column),
    )
