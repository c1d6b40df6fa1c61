"""`agents` and `cleanup`: what exists, and the removal of what was kept for inspection."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Sequence, Set
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from agentainer_tui.commands.confirming import may_delete
from agentainer_tui.commands.console import err, out, print_json, print_table
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.commands.narration import label
from agentainer_tui.commands.runs import moment
from agentainer_tui.text import counted, size
from engine.clock import isoformat
from engine.errors import UsageError
from engine.facade import KeptAgent, open_history
from engine.inventory import find_orphans, live_pools, take_inventory
from engine.upkeep import kept_agents, remove_agents

if TYPE_CHECKING:
    from engine.facade import AttemptRecord, Settings
    from engine.inventory import AgentInfo, AgentLoad, Inventory, Orphan, PoolReport


def agents(options: Namespace) -> int:
    """`agentainer agents`: containers and processes of this home, what they use, whether they were kept."""
    if options.orphans:
        return _orphans(options)
    settings = settings_of(options)
    pools = run_async(live_pools(settings))
    if options.pools:
        return _pools(pools, as_json=options.json)
    found, kept = run_async(_agents(settings))
    for problem in found.problems:
        err.line(f"agentainer: {problem}")
    if options.json:
        print_json(
            [
                _agent_json(agent, kept=agent.name in kept, load=found.loads.get(agent.name))
                for agent in found.agents
            ]
        )
    elif not found.agents:
        err.line("there are no agents")
    else:
        print_table(
            ("AGENT", "RUN", "STEP", "TRY", "STATUS", "CPU", "MEMORY", "KEPT", "IMAGE", "CREATED", "DISK"),
            (
                _agent_row(agent, kept=agent.name in kept, load=found.loads.get(agent.name))
                for agent in found.agents
            ),
            status=4,
        )
    if pools and not options.json:
        out.line()
        _pools(pools, as_json=False)
    return 0


def _pools(pools: Sequence[PoolReport], *, as_json: bool) -> int:
    """The warm pools of the live engine."""
    if as_json:
        print_json([asdict(pool) for pool in pools])
    elif not pools:
        err.line("there are no warm pools: no engine that has one is running on this home")
    else:
        head = ("POOL", "MODE", "SIZE", "BUSY", "IDLE", "WAITING", "TASKS", "REUSED", "NOTE")
        print_table(head, map(_pool_row, pools))
    return 0


def _pool_row(pool: PoolReport) -> tuple[str, ...]:
    reused = f"{100 * pool.hits / pool.tasks:.0f} %" if pool.tasks else "-"
    size = f"{pool.size} of {pool.min_size}-{pool.max_size}"
    counts = map(str, (pool.busy, pool.idle, pool.waiting, pool.tasks))
    return pool.name, pool.mode or "-", size, *counts, reused, pool.note


def _orphans(options: Namespace) -> int:
    """`agentainer agents --orphans`: what belongs to nothing any more, and how to remove it."""
    found, notes = run_async(find_orphans(settings_of(options)))
    for note in notes:
        err.line(f"agentainer: {note}")
    if options.json:
        print_json(
            [
                {
                    **_agent_json(orphan.agent, kept=False, load=None),
                    "home": orphan.agent.home,
                    "why": orphan.why,
                    "remove": list(orphan.remedy),
                }
                for orphan in found
            ]
        )
        return 0
    if not found:
        err.line("there are no orphans")
        return 0
    print_table(
        ("AGENT", "RUN", "STATUS", "CREATED", "DISK", "WHY"),
        (
            (
                orphan.agent.name,
                orphan.agent.identity.run_id,
                _standing(orphan.agent),
                _created(orphan.agent),
                _disk(orphan.agent),
                orphan.why,
            )
            for orphan in found
        ),
        status=2,
    )
    names = [orphan.agent.name for orphan in found if orphan.remedy]
    if names:
        out.line(f"\nremove them with:\n  {shlex.join((*_common_words(found), *names))}")
    return 0


def _common_words(orphans: Sequence[Orphan]) -> tuple[str, ...]:
    """The command that removes them, without the name of any."""
    return next(orphan.remedy[:-1] for orphan in orphans if orphan.remedy)


def cleanup(options: Namespace) -> int:
    """`agentainer cleanup [RUN|--all]`: list what was kept, ask, remove exactly that."""
    settings = settings_of(options)
    found, problems = run_async(kept_agents(settings, options.run))
    for problem in problems:
        err.line(f"agentainer: {problem}")
    if options.agent:
        if missing := sorted(set(options.agent) - {agent.name for agent in found}):
            raise UsageError(f"not a kept agent: {', '.join(missing)}", hint="see `agentainer agents`")
        found = [agent for agent in found if agent.name in options.agent]
    if not found:
        out.line("nothing to clean up")
        return 0
    print_table(
        ("AGENT", "RUN", "WORKFLOW", "STEP", "TRY", "STATUS", "IMAGE", "SIZE"),
        map(_kept_row, found),
        status=5,
    )
    if not may_delete(options, f"remove {counted(len(found), 'agent')}"):
        return 0
    gone = run_async(remove_agents(settings, found))
    out.line(f"removed {counted(len(gone), 'agent')}")
    return 0


async def _agents(settings: Settings) -> tuple[Inventory, Set[str]]:
    found = await take_inventory(settings, measured=True)
    async with open_history(settings) as history:
        kept = {record.agent: record for record in await history.kept_agents()}
    agents = [_as_kept(agent, kept.get(agent.name)) for agent in found.agents]
    return replace(found, agents=agents), kept.keys()


def _as_kept(agent: AgentInfo, record: AttemptRecord | None) -> AgentInfo:
    """A warm agent was made for nobody: what it was kept for stands in the history."""
    if agent.pool is None or record is None:
        return agent
    whose = replace(
        agent.identity,
        run_id=record.run_id,
        step_id=record.step_id,
        item=record.item,
        attempt=record.number,
    )
    return replace(agent, identity=whose, image=record.image)


def _agent_json(agent: AgentInfo, *, kept: bool, load: AgentLoad | None) -> dict[str, Any]:
    identity = agent.identity
    return {
        "name": agent.name,
        "id": agent.agent_id,
        "status": agent.phase.value,
        "health": agent.health,
        "paused": agent.paused,
        "kept": kept,
        "pool": agent.pool,
        "run_id": identity.run_id,
        "workflow": identity.workflow,
        "step_id": identity.step_id,
        "item": identity.item,
        "attempt": identity.attempt,
        "image": agent.image,
        "exit_code": agent.exit_code,
        "cpu_millicores": load.cpu_millicores if load else None,
        "memory_bytes": load.memory_bytes if load else None,
        "size_bytes": agent.size_bytes,
        "created_at": isoformat(agent.created_at) if agent.created_at else None,
    }


def _agent_row(agent: AgentInfo, *, kept: bool, load: AgentLoad | None) -> tuple[str, ...]:
    identity = agent.identity
    return (
        agent.name,
        identity.run_id,
        _purpose(agent, kept=kept),
        str(identity.attempt or "-"),
        _standing(agent),
        f"{load.cpu_millicores / 10:.0f} %" if load else "",
        size(load.memory_bytes) if load else "",
        "kept" if kept else "",
        agent.image or "-",
        _created(agent),
        _disk(agent),
    )


def _purpose(agent: AgentInfo, *, kept: bool) -> str:
    if agent.pool and not kept:
        return f"pool {agent.pool}"
    return label(agent.identity.step_id, agent.identity.item) if agent.identity.step_id else "network: run"


def _standing(agent: AgentInfo) -> str:
    """`running`, with what a person should know of it."""
    more = "paused" if agent.paused else agent.health if agent.health in ("unhealthy", "starting") else ""
    return f"{agent.phase.value} ({more})" if more else agent.phase.value


def _created(agent: AgentInfo) -> str:
    return moment(isoformat(agent.created_at)) if agent.created_at else "-"


def _disk(agent: AgentInfo) -> str:
    return "" if agent.size_bytes is None else size(agent.size_bytes)


def _kept_row(agent: KeptAgent) -> tuple[str, ...]:
    attempt = agent.attempt
    return (
        agent.name,
        attempt.run_id,
        agent.workflow,
        label(attempt.step_id, attempt.item),
        str(attempt.number),
        agent.status,
        attempt.image or "-",
        "" if agent.size_bytes is None else size(agent.size_bytes),
    )
