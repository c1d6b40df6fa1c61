"""A shell in an agent of a home, asked for from outside, also while an engine in another process holds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.backends import make_backend
from engine.errors import UsageError
from engine.facade import open_history
from engine.inventory import take_inventory
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.agents.backend import AgentInfo
    from engine.agents.shells import Shell as Shell
    from engine.history.reader import Reader
    from engine.history.records import AttemptRecord

_MANY = 12


@dataclass(frozen=True, slots=True)
class Entrance:
    """An agent that can be entered: its name, where it is, and the step (item, try) that it served."""

    name: str
    backend: str
    what: str = ""


async def find_entrance(
    settings: Settings, ref: str, step: str | None = None, item: int | None = None
) -> Entrance:
    """The agent that is meant: by its own name, or by the run and step that it served.

    Of several tries of a step the last one whose agent still exists is taken.

    Raises:
        UsageError: there is none, or several are meant; names them.
        UnavailableError: the agents cannot be listed.
    """
    found = await take_inventory(settings)
    there = {agent.name: agent for agent in found.agents}
    if step is None and ref in there:
        return Entrance(ref, _backend_of(there[ref]))
    async with open_history(settings) as history:
        run = await history.run(ref)
        attempts = [each for each in await _attempts(history, run.id) if each.agent in there]
    chosen = [each for each in attempts if step in (None, each.step_id) and item in (None, each.item)]
    last = {(each.step_id, each.item): each for each in chosen}
    if not last:
        where = f"step {step!r} of run {run.id}" if step is not None else f"run {run.id}"
        hint = "; ".join(sorted({each.step_id for each in attempts}))
        raise UsageError(
            f"no agent of {where} exists any more",
            hint=f"there are agents of: {hint}" if hint else "`cleanup_policy: on_success` keeps failed ones",
        )
    if len(last) > 1:
        names = [f"{each.agent}  {_label(each)}" for each in last.values()]
        more = [f"… and {len(names) - _MANY} more"] if len(names) > _MANY else []
        raise UsageError(
            f"{len(last)} agents of run {run.id} exist", hint="\n".join(["name one:", *names[:_MANY], *more])
        )
    (only,) = last.values()
    return Entrance(only.agent, only.backend, _label(only))


@asynccontextmanager
async def entered(
    settings: Settings, entrance: Entrance, command: str | None = None, *, tty: bool = True
) -> AsyncIterator[Shell]:
    """A shell in an agent, ready to be run; what was made for it is removed in the end.

    Raises:
        UnavailableError: its backend cannot be had.
        BackendError: it cannot be entered.
    """
    backend = make_backend(settings, entrance.backend)
    await backend.open()
    try:
        await backend.sweep_shells()
        shell = await backend.open_shell(entrance.name, command, tty=tty)
        try:
            yield shell
        finally:
            await backend.close_shell(shell)
    finally:
        await backend.close()


async def _attempts(history: Reader, run_id: str) -> list[AttemptRecord]:
    """All attempts of a run, oldest first."""
    detail = await history.detail(run_id)
    found = [
        attempt
        for step in detail.steps
        for attempt in (*step.attempts, *(each for item in step.items for each in item.attempts))
    ]
    return sorted(found, key=lambda attempt: (attempt.created_at or "", attempt.number))


def _label(attempt: AttemptRecord) -> str:
    item = "" if attempt.item is None else f"[{attempt.item}]"
    return f"{attempt.step_id}{item} try {attempt.number}"


def _backend_of(agent: AgentInfo) -> str:
    """Where an agent is: a local process has no image."""
    return "docker" if agent.image is not None else "process"
