"""`agents` and `cleanup`: what exists, and the removal of what was kept for inspection."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from agentainer_tui.commands.confirming import may_delete
from agentainer_tui.commands.console import err, out, print_json, print_table
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.commands.narration import label
from agentainer_tui.commands.runs import moment
from agentainer_tui.text import counted, size
from engine.clock import isoformat
from engine.facade import KeptAgent, open_history
from engine.upkeep import existing_agents, kept_agents, remove_agents

if TYPE_CHECKING:
    from engine.facade import Settings
    from engine.upkeep import AgentInfo


def agents(options: Namespace) -> int:
    """`agentainer agents`: containers and processes of this home, and whether they were kept."""
    found, kept, problems = run_async(_agents(settings_of(options)))
    for problem in problems:
        err.line(f"agentainer: {problem}")
    if options.json:
        print_json([_agent_json(agent, kept=agent.name in kept) for agent in found])
    elif not found:
        err.line("there are no agents")
    else:
        print_table(
            ("AGENT", "RUN", "STEP", "TRY", "STATUS", "KEPT", "IMAGE", "CREATED", "SIZE"),
            (_agent_row(agent, kept=agent.name in kept) for agent in found),
            status=4,
        )
    return 0


def cleanup(options: Namespace) -> int:
    """`agentainer cleanup [RUN|--all]`: list what was kept, ask, remove exactly that."""
    settings = settings_of(options)
    found, problems = run_async(kept_agents(settings, options.run))
    for problem in problems:
        err.line(f"agentainer: {problem}")
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


async def _agents(settings: Settings) -> tuple[list[AgentInfo], set[str], list[str]]:
    found, problems = await existing_agents(settings)
    async with open_history(settings) as history:
        kept = {record.agent for record in await history.kept_agents()}
    return found, kept, problems


def _agent_json(agent: AgentInfo, *, kept: bool) -> dict[str, Any]:
    identity = agent.identity
    return {
        "name": agent.name,
        "id": agent.agent_id,
        "status": agent.phase.value,
        "kept": kept,
        "run_id": identity.run_id,
        "workflow": identity.workflow,
        "step_id": identity.step_id,
        "item": identity.item,
        "attempt": identity.attempt,
        "image": agent.image,
        "exit_code": agent.exit_code,
        "size_bytes": agent.size_bytes,
        "created_at": isoformat(agent.created_at) if agent.created_at else None,
    }


def _agent_row(agent: AgentInfo, *, kept: bool) -> tuple[str, ...]:
    identity = agent.identity
    return (
        agent.name,
        identity.run_id,
        label(identity.step_id, identity.item),
        str(identity.attempt),
        agent.phase.value,
        "kept" if kept else "",
        agent.image or "-",
        moment(isoformat(agent.created_at)) if agent.created_at else "-",
        "" if agent.size_bytes is None else size(agent.size_bytes),
    )


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
