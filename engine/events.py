"""The facts of a run: statuses, event types and the `Event` itself.

Everything the engine knows about a run is a sequence of events. The journal commits them, the history
views are projections of them, and the dashboard is a pure reduction of them. The `data` of each type is
listed beside it; a key marked `?` may be absent. All data is JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from asyncio import Future

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class RunStatus(StrEnum):
    """States of a run."""

    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    PARTIALLY_COMPLETED = "partially_completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """True when the run is over for good."""
        return self in TERMINAL_RUN


class StepStatus(StrEnum):
    """States of a step, an item and an attempt."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """True when it will not change again."""
        return self in TERMINAL_STEP


TERMINAL_RUN = frozenset(
    {RunStatus.COMPLETED, RunStatus.PARTIALLY_COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED}
)
TERMINAL_STEP = frozenset({StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED})


class EventType(StrEnum):
    """What an event says. `old`/`status` of the moves are the compare-and-set pair.

    Every `.finished` may carry `duration?` (seconds by the monotonic clock, from its first start); without
    it, history shows the difference of the wall times.
    """

    # workflow, digest, path?, document (text; kept in the documents table, not in the event), params,
    # backend, state (initial), retry_of?, retry_scope?, source ("cli", "dashboard", …),
    # plan: [{id, name, type, ordinal, depends_on, parent?, image?, command?, workers?, max_concurrency?,
    #   role? ("on_failure" | "finally"), trigger?, conditional?, routes?: [{label, targets, workflow?}],
    #   sub_workflow?, approval? (message as written), delay? (s), cached?: bool, item_alias?,
    #   agent?: {env: {name: text as written}, secrets?: [name], limits?: {cpus, memory (bytes), gpus},
    #   network?, volumes?, user?, working_dir?, privileged?, redis_access?}} = what its agents are made with:
    #   those that the document sets, and of env what looks like a password as "***"]
    # metadata?: {name: text}, env_files?: [name] = the variables that env files set, without their values
    # parent?: {run_id, step_id, item?, attempt, way?} = the attempt whose sub-workflow it is; way = the
    #   choice of a branch that it is the workflow of,
    # children?: {name: {digest, path?, document}} = the workflows that its steps run (texts kept as
    # `document` is), scheduled_for?: ISO time = the time of the schedule that started it,
    # no_cache?: true = results of earlier work are not taken
    RUN_CREATED = "run.created"
    RUN_QUEUED = "run.queued"  # why: "max_active_runs" | "schedule"; it stays pending until there is room
    RUN_STARTED = "run.started"  # old, status
    RUN_RECOVERED = "run.recovered"  # instance, recoveries (how often so far)
    RUN_CANCELLING = "run.cancelling"  # old, status, by
    # status (what the run is going to end as), reason?, error?, failed_step?: what its own steps came to,
    # before its on_failure and finally steps have their turn; only runs that have such steps to do record it.
    # due: ISO time until when these have time
    RUN_SETTLED = "run.settled"
    RUN_FINISHED = "run.finished"  # old, status, reason?, error?
    STEP_STARTED = "step.started"  # old, status
    # why: "slot" | "pool" (pool: name) | "approval" (message, due?: ISO time, default?: bool) | "delay" (due)
    # | "image" (image, percent?: of its pull)
    STEP_WAITING = "step.waiting"
    STEP_EXPANDED = "step.expanded"  # values: [JSON], one item each, in order; workers: bool
    STEP_RETRYING = "step.retrying"  # old, status, delay (s), next_attempt_at, error, reason
    # old, status, reason?, error?, result?, exit_code?, reused?: bool,
    # cache_key? (a result that may be used again under that key), cached_from?: {run_id, step_id, item?} =
    # where a reused result was remembered from, artifacts?: [{name, size (bytes)}],
    # partial?: true = completed, though items or steps of a child run failed that nobody said may fail,
    # changes: {set: {key: JSON}, removed: [key], collections?: {key: "list" | "set"}} = what this step did
    # to the shared state; `collections` names those of `set` that tasks made with RPUSH or SADD
    STEP_FINISHED = "step.finished"
    ITEM_STARTED = "item.started"  # old, status
    ITEM_RETRYING = "item.retrying"  # as step.retrying
    # old, status, reason?, error?, result?, exit_code?, reused?, cache_key?, cached_from?, artifacts?,
    # partial?
    ITEM_FINISHED = "item.finished"
    # task_id, agent (its name), backend, image?, command?, log (path below the home), spec_digest, env? =
    # what became of those variables of the step that are templates (long ones only in part);
    # of a sub-workflow: child_run (the id of the child's run), and agent and log are ""; pool?: name
    ATTEMPT_CREATED = "attempt.created"
    # old, status, agent_id (the backend's own id), image_id? (of the image that a container was made from),
    # placement?: of a pooled task, see `backend.Placement`
    ATTEMPT_STARTED = "attempt.started"
    # {every: s, rows: [[s since the start, millicores, memory, network in, out, block read, written], …]}:
    # what its agent used while it ran; bytes, those of networks and disks since its start
    ATTEMPT_SAMPLED = "attempt.sampled"
    # old, status, reason?, error?, exit_code?, kept: bool (the agent stays for inspection),
    # phases?: {queue, image, create, start, run, collect} in seconds, those that it had: waiting for a slot,
    #   getting the image, making the agent (of a pooled one: waiting for it), starting it, running,
    #   keeping artifacts; backoff: between tries of the platform. Those under a microsecond are left out, and
    #   so is `run` of an attempt that an engine took over from another;
    # usage?: {cpu_seconds, memory_peak, network_in, network_out, block_read, block_write, sampled: bool} in
    #   seconds and bytes, those that are known; sampled = looked at now and then, it may have been more
    ATTEMPT_FINISHED = "attempt.finished"
    AGENT_REMOVED = "agent.removed"  # agent, by ("policy" | "cleanup" | "recovery"), took? (s)
    WARNING = "warning"  # message


class Event(NamedTuple):
    """One durable, numbered fact about a run.

    A named tuple, because there are many: a frozen dataclass takes five times as long to make.

    Attributes:
        run_id: the run it belongs to.
        type: what it says.
        time: wall time, UTC.
        step_id: the step it is about, if any.
        item: index of the map item or parallel worker (from 0), if any.
        attempt: number of the attempt (from 1), if any.
        data: the rest, see `EventType`.
        seq: position in the journal of this home, from 1; 0 until it is committed. Order by it, not by time.
    """

    run_id: str
    type: EventType
    time: datetime
    step_id: str | None = None
    item: int | None = None
    attempt: int | None = None
    data: Mapping[str, Any] = _NOTHING
    seq: int = 0


class EventSink(Protocol):
    """Where transitions go before their effects start. `history.journal.Journal` is the real one."""

    def record(
        self, *events: Event, on_failure: Callable[[BaseException], None] | None = None
    ) -> Future[tuple[Event, ...]]:
        """Queue `events` (in call order, atomically) at once; await the answer for durability.

        The order of calls is the order in the journal, so a caller may go on without awaiting and await a
        later call instead. The awaited value carries the sequence numbers. `on_failure` is called soon with
        what awaiting would raise, for who does not await.

        Raises (on await):
            IllegalTransitionError: an `old` was not the stored status; nothing of the call was written.
            HistoryError: the database could not take it.
        """
        ...
