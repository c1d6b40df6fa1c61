"""Agents that no run needs any more: those of a dead engine, those that were kept for inspection."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from engine.agents.backend import AgentInfo, namespace_holder
from engine.errors import BackendError
from engine.events import Event, EventType, StepStatus
from engine.history.reader import Reader
from engine.history.records import AttemptRecord, RunDetail
from engine.orchestrator.context import Services

_log = logging.getLogger("agentainer")


async def reap(services: Services, history: Reader) -> list[AgentInfo]:
    """Remove agents of this home that belong to nothing. To be called before anything is resumed.

    Left alone are those that a cleanup policy keeps and those of attempts that are still open.
    """
    known = await needed_agents(history)
    reaped = []
    try:
        await services.backend.sweep_shells()
    except BackendError as error:
        _log.warning("copies that shells have left could not be removed: %s", error)
    for info in await services.backend.list_agents(services.instance):
        if info.name in known:
            continue
        try:
            await services.backend.remove(info.name)
            reaped.append(info)
        except BackendError as error:
            _log.warning("agent %s could not be removed: %s", info.name, error)
    return reaped


async def needed_agents(history: Reader) -> set[str]:
    """Names of the agents that a cleanup policy keeps, and of those of attempts that are still open."""
    names = {record.agent for record in await history.kept_agents()}
    for run in await history.unfinished():
        names |= _open_agents(await history.detail(run.id))
        names.add(namespace_holder(run.id))
    return names


async def remove_agents(services: Services, agents: Sequence[AttemptRecord]) -> list[str]:
    """Remove kept agents, exactly these; returns the names of those that are gone now.

    Raises:
        BackendError: one could not be removed.
    """
    gone = []
    for record in agents:
        await services.backend.remove(record.agent)
        await services.journal.record(
            Event(
                record.run_id,
                EventType.AGENT_REMOVED,
                services.clock.now(),
                record.step_id,
                record.item,
                record.number,
                {"agent": record.agent, "by": "cleanup"},
            )
        )
        gone.append(record.agent)
    return gone


def _open_agents(detail: RunDetail) -> set[str]:
    attempts = [
        attempt
        for step in detail.steps
        for attempt in (*step.attempts, *(a for item in step.items for a in item.attempts))
    ]
    return {attempt.agent for attempt in attempts if not StepStatus(attempt.status).is_terminal}
