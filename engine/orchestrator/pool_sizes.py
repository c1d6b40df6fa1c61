"""How large a pool can be here: what a document asks for, held against the machine and the settings."""

from __future__ import annotations

from engine.agents.backend import BackendFacts, PoolSettings
from engine.settings import Settings
from engine.workflows.plan import PlanStep, PoolPlan


def room_for(step: PlanStep, facts: BackendFacts, settings: Settings) -> tuple[int, str]:
    """How many warm agents of a step fit here at once, and what bounds them, in words."""
    room, why = settings.max_warm, f"the setting max_warm is {settings.max_warm}"
    memory = step.task.limits.memory_bytes if step.task is not None else None
    if memory and facts.memory_bytes and facts.memory_bytes // memory < room:
        room = facts.memory_bytes // memory
        why = (
            f"each may use {memory / (1 << 20):,.0f} MiB, "
            f"and the machine has {facts.memory_bytes / (1 << 20):,.0f} MiB"
        )
    return max(1, room), why


def pool_objection(step: PlanStep, facts: BackendFacts, settings: Settings) -> str:
    """Why the agents that a pool is to keep ready do not fit here; "" if they do."""
    room, why = room_for(step, facts, settings)
    if step.pool is None or step.pool.min_size <= room:
        return ""
    return (
        f"min_size of the pool {step.pool.name!r} is {step.pool.min_size}, but there is room for {room} "
        f"such agents ({why}): lower it"
    )


def pool_remark(step: PlanStep, facts: BackendFacts, settings: Settings) -> str:
    """What a person should know of a pool that cannot grow as large as it may; "" if it can."""
    room, why = room_for(step, facts, settings)
    if step.pool is None or step.pool.max_size is None or step.pool.max_size <= room:
        return ""
    return (
        f"the pool {step.pool.name!r} may have {step.pool.max_size} agents, but there is room for {room} "
        f"({why}): it gets no more"
    )


def pool_settings(step: PlanStep, facts: BackendFacts, settings: Settings) -> PoolSettings | None:
    """The pool of a step with the sizes that it can have here, None for a step without one."""
    if step.pool is None:
        return None
    room, _ = room_for(step, facts, settings)
    return PoolSettings(
        step.pool.name,
        min_size=step.pool.min_size,
        max_size=max(step.pool.min_size, min(_wanted(step.pool, settings), room)),
        idle_timeout=step.pool.idle_timeout,
        max_agent_uses=step.pool.max_agent_uses,
    )


def _wanted(pool: PoolPlan, settings: Settings) -> int:
    """Without a `max_size`, as many agents as the machine runs tasks."""
    return pool.max_size or settings.max_tasks
