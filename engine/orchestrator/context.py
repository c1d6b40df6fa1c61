"""What everything that belongs to one run shares: the plan, the state as last read, outcomes, the stop."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from engine.agents.backend import Backend, BackendFacts, Pools
from engine.clock import Clock
from engine.errors import HistoryError, Reason, StateStoreError
from engine.events import Event, EventSink, EventType, StepStatus
from engine.history.log_budget import LogBudget
from engine.history.logs import LogWriter
from engine.orchestrator.aftermath import Aftermath, aftermath_of
from engine.orchestrator.approvals import Approvals
from engine.orchestrator.artifacts import ArtifactStore, has_artifacts
from engine.orchestrator.masking import mask_event
from engine.orchestrator.outcome import Outcome, cancelled, skipped
from engine.orchestrator.pool_sizes import pool_settings
from engine.orchestrator.ports import ChildRuns, Metering, NoMetering, ParentLink, Recall, nothing_remembered
from engine.orchestrator.secrets import NO_SECRETS, Secrets
from engine.orchestrator.slots import NamedLimits, Slots
from engine.orchestrator.triggers import failure_is_tolerated
from engine.settings import Settings
from engine.state.store import StateChanges, StateStore
from engine.workflows.conditions import same
from engine.workflows.plan import Plan, PlanStep, Scope

_NOTHING = object()  # unlike any value of a field

# Fields of the scope that the engine itself provides; a task's result cannot shadow them.
RESERVED = frozenset({"steps", "params"})


@dataclass(frozen=True, slots=True)
class Services:
    """What the engine gives to every run.

    Attributes:
        journal: takes every transition before its effect.
        store: shared state and task keys.
        backend, facts: where agents run, and what that place can do.
        clock: time.
        settings: the engine's settings.
        slots: the machine's limit on tasks.
        instance: this home's id, written on every agent.
        open_log: makes the log writer of an attempt from its path below the log directory and what its run
            may write.
        recall: finds results of earlier work.
        metering: tells others of the metrics of live runs.
        pools: warm agents, None where the backend has none; `pool_limits`: how many tasks they take.
    """

    journal: EventSink
    store: StateStore
    backend: Backend
    facts: BackendFacts
    clock: Clock
    settings: Settings
    slots: Slots
    instance: str
    open_log: Callable[[str, LogBudget], LogWriter]
    recall: Recall = nothing_remembered
    metering: Metering = field(default_factory=NoMetering)
    pools: Pools | None = None
    pool_limits: NamedLimits = field(default_factory=NamedLimits)

    def pool_slots(self, step: PlanStep) -> Slots:
        """How many tasks a step's pool has agents for at once, over all runs; no limit without a pool."""
        pool = pool_settings(step, self.facts, self.settings) if self.pools is not None else None
        return self.pool_limits.of(pool.name, pool.max_size) if pool is not None else Slots()

    @property
    def artifacts(self) -> ArtifactStore:
        """The artifacts of all runs."""
        return ArtifactStore(self.settings.artifacts, self.settings.artifact_limit)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run is being stopped before its end: `cancelled`, `timed_out`, or the failed step's reason."""

    reason: Reason
    message: str
    failed_step: str | None = None

    @property
    def rank(self) -> int:
        """A later stop counts if it outranks the earlier: failure, time-out, cancel, the platform's end."""
        if self.failed_step is not None:
            return 1
        return {Reason.TIMED_OUT: 2, Reason.CANCELLED: 3}.get(self.reason, 4)

    @property
    def is_platform(self) -> bool:
        """Whether nothing may be started any more: the history or Redis is gone, or the run is parked."""
        return self.rank == 4


@dataclass
class RunContext:
    """One run while it is alive. Owned by its `RunExecutor`; nothing outside touches it.

    `earlier_children` are, for a run that retries another, the child runs that failed there by step and item.
    """

    services: Services
    plan: Plan
    run_id: str
    params: Mapping[str, Any]
    source: str = ""
    deadline: float | None = None
    state: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    children: ChildRuns | None = None
    earlier_children: Mapping[tuple[str, int | None], str] = field(default_factory=dict)
    parent: ParentLink | None = None
    use_cache: bool = True
    secrets: Secrets = NO_SECRETS
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    stop: Stop | None = None

    def __post_init__(self) -> None:
        """Prepare what is derived."""
        self.approvals = Approvals()
        settings = self.services.settings
        self.log_budget = LogBudget(settings.run_log_limit, settings.logs / self.run_id)
        self.slots = Slots.of(self.plan.max_parallel).within(self.services.slots)
        self.has_artifacts = has_artifacts(self.plan)
        self._state_text = "{}"  # the state as JSON
        self._digested: tuple[dict[str, Any], str] | None = None
        self._steps_scope: dict[str, dict[str, Any]] = {}
        self._claims = 0  # slots of tasks that are still to be taken over
        self._background: set[asyncio.Task[Any]] = set()
        self._on_stop: list[Callable[[], None]] = []
        self._aftermath = Aftermath()
        self.standing: dict[str, StepStatus] = {}  # of the steps that this engine has moved
        self.verdict: Mapping[str, Any] | None = None  # `run` in the scope of handler steps
        self._unwritable: HistoryError | None = None
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- events ---------------------------------------------------------------------------------------

    def event(
        self,
        type_: EventType,
        step_id: str | None = None,
        item: int | None = None,
        attempt: int | None = None,
        **data: Any,
    ) -> Event:
        """An event of this run, now, its secrets masked. Keys whose value is None are left out."""
        kept = {key: value for key, value in data.items() if value is not None}
        if self.secrets.masker:
            kept = mask_event(self.secrets.masker, kept)
        return Event(self.run_id, type_, self.services.clock.now(), step_id, item, attempt, kept)

    def record(self, *events: Event) -> asyncio.Future[tuple[Event, ...]]:
        """Queue events for the journal, in order; await the answer only where durability must come first.

        A write that fails without anyone awaiting it must still stop the run: nothing may happen that the
        journal does not know of. After one that the database did not take, nothing more is written: with
        what is missing, the rest would make no sense. The run stays as it stands, for the next engine.
        """
        if self._unwritable is not None:
            return _refused(self._unwritable)
        return self.services.journal.record(*events, on_failure=self._note_journal_failure)

    def _note_journal_failure(self, error: BaseException) -> None:
        if isinstance(error, HistoryError):
            self._unwritable = error
        if not self.broken.done():
            self.broken.set_exception(error)
            self.broken.exception()  # retrieved: whoever ends the run looks at it
            self.request_stop(Stop(Reason.INFRA_ERROR, f"the history could not be written: {error}"))

    def warn(self, message: str, step_id: str | None = None, item: int | None = None) -> None:
        """Record a warning."""
        self.record(self.event(EventType.WARNING, step_id, item, message=message))

    def elapsed(self, since: float | None) -> float | None:
        """Seconds since a monotonic moment, None if that is not known."""
        return None if since is None else round(self.services.clock.monotonic() - since, 6)

    # -- state ----------------------------------------------------------------------------------------

    def scope(self, extra: Mapping[str, Any] | None = None) -> Scope:
        """What templates, JSONPaths and conditions see."""
        verdict = {"run": self.verdict} if self.verdict is not None else {}
        return {**self.state, "steps": self._steps_scope, **verdict, **(extra or {})}

    def finish_step(self, step_id: str, outcome: Outcome) -> None:
        """Make a step's outcome known to the scope and to the graph."""
        self.outcomes[step_id] = outcome
        self._steps_scope[step_id] = {
            "status": outcome.status.value,
            "result": outcome.result,
            "error": outcome.error,
            "reason": outcome.reason.value if outcome.reason else None,
            "exit_code": outcome.exit_code,
            "artifacts": [artifact.name for artifact in outcome.artifacts],
        }

    async def merge(self, step: PlanStep, changes: StateChanges) -> StateChanges:
        """Make `changes` to the shared state, read it back, and return all that changed since last time.

        What a container set by itself while it ran is part of the difference, so that it is in history too.

        Raises:
            StateStoreError: Redis did not take or give it.
        """
        refused = sorted(RESERVED & changes.set.keys())
        if refused:
            self.warn(f"result fields {', '.join(refused)} are reserved and were not merged", step.id)
            taken = {key: value for key, value in changes.set.items() if key not in RESERVED}
            changes = replace(changes, set=taken)
        if changes:
            await self.services.store.write_state(self.run_id, changes)
        return await self.refresh()

    async def refresh(self) -> StateChanges:
        """Read the shared state again; returns what changed since the last reading."""
        before, fresh = self.state, await self.services.store.read_state(self.run_id)
        # Not `!=`, to which true is 1.
        changed = {key: value for key, value in fresh.items() if not same(before.get(key, _NOTHING), value)}
        if not changed and len(fresh) == len(before):
            return StateChanges()
        self.state, self._state_text = fresh, json.dumps(fresh)
        made = self.services.store.collections(self.run_id)
        return StateChanges(
            set=changed,
            removed=tuple(sorted(before.keys() - fresh.keys())),
            collections={name: kind for name, kind in made.items() if name in changed},
        )

    def state_digest(self) -> str:
        """Digest of the state as last read; worked out once for each reading."""
        if self._digested is None or self._digested[0] is not self.state:
            text = json.dumps(self.state, sort_keys=True)
            self._digested = (self.state, hashlib.sha256(text.encode()).hexdigest())
        return self._digested[1]

    def input_text(self, extra: Mapping[str, Any]) -> str:
        """The input of a task as JSON: the state as last read, and `extra`.

        Put together from texts, so that a large state is not written out again for every item of a map.
        """
        if not extra:
            return self._state_text
        if not self.state or extra.keys() & self.state.keys():
            return json.dumps({**self.state, **extra})
        return f"{self._state_text[:-1]}, {json.dumps(extra)[1:]}"

    # -- stopping -------------------------------------------------------------------------------------

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once when the run is to stop early."""
        self._on_stop.append(callback)

    def request_stop(self, stop: Stop) -> None:
        """Stop the run early: no new starts, what runs is cancelled. A stronger stop replaces a weaker."""
        if self.stop is not None and stop.rank <= self.stop.rank:
            return
        self.stop = stop
        if stop.failed_step is not None:
            self._aftermath = aftermath_of(stop.failed_step, self.plan.steps)
        for callback in self._on_stop:
            callback()

    def goes_on(self, step_id: str) -> bool:
        """Whether a step may run: under a stop, only what was asked to run after just that failure."""
        if self.stop is None:
            return True
        return self.stop.failed_step is not None and step_id in self._aftermath.going_on

    def step_failed(self, step: PlanStep, outcome: Outcome) -> None:
        """Let a failed step stop the run where its failure strategy says so."""
        if not failure_is_tolerated(step):
            message = f"step {step.id!r} failed: {outcome.error}"
            self.request_stop(Stop(outcome.reason or Reason.TASK_FAILED, message, failed_step=step.id))

    def begin_handlers(self, verdict: Mapping[str, Any], seconds: float, *, outlive: bool) -> None:
        """The run's own steps are over: the handler steps come now.

        Args:
            verdict: what the run is going to end as, for the scope and the environment of the steps.
            seconds: what they have together.
            outlive: whether the present stop is that of the run's own steps, which does not stop these.
        """
        if self.stop is not None and outlive and not self.stop.is_platform:
            self.stop = None
        self._on_stop.clear()
        self.verdict = verdict
        self.deadline = self.services.clock.monotonic() + seconds

    @property
    def verdict_variables(self) -> dict[str, str]:
        """What handler steps find in their environment about the run, nothing for the run's own steps."""
        return {
            f"AGENTAINER_RUN_{key.upper()}": "" if value is None else _as_variable(str(value))
            for key, value in (self.verdict or {}).items()
        }

    def never_started(self, step_id: str) -> Outcome:
        """The outcome of a step that the stop kept from its turn."""
        stop = self.stop
        if stop is not None and stop.failed_step is not None and step_id in self._aftermath.behind:
            return skipped(Reason.UPSTREAM_FAILED, stop.message)
        return self.stopped_outcome()

    def stopped_outcome(self) -> Outcome:
        """The outcome of a step or item that the stop interrupted."""
        stop = self.stop
        if stop is None or stop.reason is Reason.CANCELLED:
            return cancelled(Reason.CANCELLED)
        reason = Reason.TIMED_OUT if stop.reason is Reason.TIMED_OUT else Reason.CANCELLED
        return cancelled(reason, stop.message)

    # -- slots of tasks that an interrupted engine left running ---------------------------------------

    def claim_slot(self) -> None:
        """Count a task that runs already, before anything else can take its place."""
        self.slots.claim()
        self._claims += 1

    @contextmanager
    def claimed_slot(self, own: Slots, *, task: bool) -> Iterator[None]:
        """Take over what runs already within its limits, whatever they hold by now.

        Args:
            own: the limits of its step, those of the run included.
            task: whether it is a task, for which a slot was claimed, and not a child run.
        """
        claimed = task and self._claims > 0
        self._claims -= claimed
        limits = own.beyond(self.slots) if claimed else own
        limits.claim()
        try:
            yield
        finally:
            limits.give_back()
            if claimed:
                self.slots.give_back()

    def release_claims(self) -> None:
        """Give back what was claimed for tasks that were not taken over."""
        while self._claims:
            self._claims -= 1
            self.slots.give_back()

    # -- agents ---------------------------------------------------------------------------------------

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` off the critical path; the run does not end before it is done."""
        self._own(asyncio.create_task(work))

    def give_up(self, task: asyncio.Task[Any]) -> None:
        """Cancel what nobody needs any more, without waiting for its end; the run does that."""
        if task.done():
            if not task.cancelled():
                task.exception()  # retrieved
            return
        task.cancel()
        self._own(task)

    def _own(self, task: asyncio.Task[Any]) -> None:
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def settle(self) -> None:
        """Wait for all background work."""
        while self._background:
            await asyncio.wait(self._background)

    async def tell_status(self, document: Mapping[str, Any]) -> None:
        """Show the run's document in Redis; an outage there is a warning, history has the truth."""
        try:
            await self.services.store.update_run(self.run_id, document)
        except StateStoreError as error:
            self.warn(f"the run's status could not be shown in Redis: {error}")


def _as_variable(text: str) -> str:
    """What a task printed may hold what no variable can: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _refused(error: HistoryError) -> asyncio.Future[tuple[Event, ...]]:
    """What awaiting a record comes to that is not even tried."""
    refused: asyncio.Future[tuple[Event, ...]] = asyncio.get_running_loop().create_future()
    refused.set_exception(error)
    refused.exception()  # retrieved: not everybody awaits it
    return refused
