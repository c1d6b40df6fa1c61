"""Putting an engine together: what is opened, in which order, and what belongs to whom."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from engine.backends import instance_id, make_backend, open_backend, pools_of
from engine.clock import SystemClock
from engine.history.housekeeping import Housekeeper
from engine.history.journal import Journal
from engine.history.lease import Lease
from engine.history.logs import LogWriter
from engine.history.reader import Reader
from engine.metering import Metering
from engine.orchestrator.context import Services
from engine.orchestrator.manager import Orchestrator
from engine.orchestrator.recovery import Recovery
from engine.orchestrator.slots import Slots
from engine.settings import Settings
from engine.state.redis_store import RedisStateStore
from engine.state.store import StateStore


@dataclass(frozen=True, slots=True)
class Parts:
    """The open parts of one engine; `notes` are sentences for the person who started it."""

    journal: Journal
    history: Reader
    store: StateStore
    services: Services
    orchestrator: Orchestrator
    recovery: Recovery
    notes: tuple[str, ...]


async def assemble(settings: Settings, stack: AsyncExitStack) -> Parts:
    """Open everything an engine stands on; `stack` closes it again, in the opposite order.

    Raises:
        UnavailableError: the home, the backend that was demanded, or Redis cannot be had.
    """
    lease = Lease.acquire(settings.home)
    stack.callback(lease.release)
    journal = await Journal.open(settings.database)
    stack.push_async_callback(journal.close)
    history = Reader(settings.database)
    stack.push_async_callback(history.close)
    backend, facts, notes = await open_backend(settings)
    stack.push_async_callback(backend.close)
    store = RedisStateStore(settings.home, redis_url=settings.redis_url, result_limit=settings.result_limit)
    await store.open(facts.gateway)
    stack.push_async_callback(store.close)
    clock = SystemClock()
    housekeeper = Housekeeper(journal, history, settings, clock)
    stack.push_async_callback(housekeeper.close)
    metering = Metering(history, store, clock, lambda: journal.last_seq)
    stack.push_async_callback(metering.close)
    logs = settings.logs
    services = Services(
        journal=journal,
        store=store,
        backend=backend,
        facts=facts,
        clock=clock,
        settings=settings,
        slots=Slots.of(settings.max_tasks),
        instance=instance_id(settings.home),
        open_log=lambda path, budget: LogWriter(logs, path, limit=settings.log_limit, budget=budget),
        recall=history.recall,
        metering=metering,
        pools=pools_of(backend),
    )
    services.artifacts.forget_unfinished()
    orchestrator = Orchestrator(services, history)
    stack.push_async_callback(lambda: orchestrator.close(by="engine shutdown"))

    async def services_for(backend_name: str) -> Services:
        if backend_name == backend.name:
            return services
        other = make_backend(settings, backend_name)
        other_facts = await other.open()
        stack.push_async_callback(other.close)
        return replace(services, backend=other, facts=other_facts, pools=pools_of(other))

    housekeeper.open()
    recovery = Recovery(orchestrator, services, history, services_for)
    return Parts(journal, history, store, services, orchestrator, recovery, notes)
