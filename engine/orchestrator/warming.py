"""Warm agents ahead of need: started when a run begins, for steps whose turn comes later."""

from __future__ import annotations

from engine.errors import InputError
from engine.orchestrator.agent_spec import container_spec
from engine.orchestrator.attempt import Unit
from engine.orchestrator.context import RunContext
from engine.orchestrator.pool_sizes import pool_remark


def warm_up(run: RunContext) -> None:
    """Have the pools of the steps that ask for it filled; returns at once.

    A step whose image is only known from the results of others gets its agents when it needs them.
    """
    pools = run.services.pools
    if pools is None:
        return
    seen = set()
    for step in run.plan.steps.values():
        if step.pool is None or step.task is None or step.id in run.outcomes:
            continue
        if remark := pool_remark(step, run.services.facts, run.services.settings):
            run.warn(remark, step.id)
        if not step.pool.warm_up:
            continue
        try:
            spec = container_spec(run, Unit(step), 1, run.scope())
        except InputError:
            continue
        # Steps that share a pool, and agents, ask for these once.
        alike = spec.pool, spec.image, spec.limits, spec.network, spec.mounts, spec.user, spec.privileged
        if alike not in seen:
            seen.add(alike)
            pools.warm_up(spec, max(1, step.pool.min_size))
