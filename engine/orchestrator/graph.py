"""The DAG of a run, or of the members of one parallel step: who may start, who is skipped, who is stopped."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from engine.errors import Reason
from engine.events import StepStatus
from engine.orchestrator.context import RunContext
from engine.orchestrator.outcome import Outcome, cancelled, skipped
from engine.orchestrator.triggers import failure_is_tolerated, judge
from engine.workflows.plan import PlanStep, Trigger

_ROUTED = (Reason.BRANCH_NOT_TAKEN, Reason.CONDITION_FALSE)


class StepExecutor(Protocol):
    """Runs a step that may start, and records the end of one that may not."""

    async def execute(self, step: PlanStep) -> Outcome:
        """Run it to its end; a cancellation is recorded and passed on."""
        ...

    def close(self, step: PlanStep, outcome: Outcome) -> None:
        """Record the end of a step that never started."""
        ...


class Graph:
    """Starts every node as soon as all its upstreams are terminal (design §4, Skips).

    Args:
        run: the run.
        nodes: the steps of this level, in document order.
        known: outcomes that exist already: recovered, or taken over from the run that is retried.
        executor: runs and closes steps.
        alias: for a step of a deeper level, the node of this level that contains it.
    """

    def __init__(
        self,
        run: RunContext,
        nodes: Iterable[PlanStep],
        known: Mapping[str, Outcome],
        executor: StepExecutor,
        alias: Mapping[str, str],
    ) -> None:
        self._run = run
        self._nodes = {node.id: node for node in nodes}
        self._executor = executor
        self._alias = alias
        self._upstreams = {
            node.id: {target for target in node.depends_on if target in self._nodes}
            for node in self._nodes.values()
        }
        self._dependents: dict[str, list[str]] = {node_id: [] for node_id in self._nodes}
        for node_id, upstreams in self._upstreams.items():
            for upstream in upstreams:
                self._dependents[upstream].append(node_id)
        self._outcomes = {node_id: known[node_id] for node_id in self._nodes if node_id in known}
        self._waiting = {
            node_id: sum(upstream not in self._outcomes for upstream in upstreams)
            for node_id, upstreams in self._upstreams.items()
            if node_id not in self._outcomes
        }
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._behind: dict[str, frozenset[str]] = {}
        run.on_stop(self._stop)

    async def run(self) -> dict[str, Outcome]:
        """Run all nodes; returns every node's outcome. A cancellation of the caller stops them all."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._start([node_id for node_id, count in self._waiting.items() if count == 0])
        finally:
            self._close_rest()
        return self._outcomes

    def _start(self, ready: Iterable[str]) -> None:
        """Start nodes whose upstreams have all ended, or end them, and then those behind them."""
        queue = deque(ready)
        while queue:
            node = self._nodes[queue.popleft()]
            outcome = judge(node, self._outcomes, self._tolerated)
            if not self._may_start(node) and (outcome is None or outcome.reason not in _ROUTED):
                outcome = self._never_started(node.id)
            if outcome is None:
                self._tasks[node.id] = self._group.create_task(self._one(node))
            else:
                self._executor.close(node, outcome)
                queue += self._note(node, outcome)

    def _may_start(self, node: PlanStep) -> bool:
        """Whether the run goes on for this node: under a stop, only what asked to run after a failure."""
        stop = self._run.stop
        if stop is None:
            return True
        return (
            stop.failed_step is not None
            and node.trigger is Trigger.ALL_DONE
            and self._is_behind(node.id, stop.failed_step)
        )

    def _tolerated(self, node_id: str) -> bool:
        return failure_is_tolerated(self._nodes[node_id])

    async def _one(self, node: PlanStep) -> None:
        try:
            outcome = await self._executor.execute(node)
        except asyncio.CancelledError:
            if self._run.stop is None:
                raise
            outcome = self._run.stopped_outcome()
        self._start(self._note(node, outcome))

    def _note(self, node: PlanStep, outcome: Outcome) -> list[str]:
        """Make an end known; returns the nodes that wait for nothing more."""
        self._outcomes[node.id] = outcome
        self._run.finish_step(node.id, outcome)
        if outcome.status is StepStatus.FAILED:
            self._run.step_failed(node, outcome)
        ready = []
        for dependent in self._dependents[node.id]:
            if dependent in self._waiting:
                self._waiting[dependent] -= 1
                if self._waiting[dependent] == 0:
                    ready.append(dependent)
        return ready

    def _stop(self) -> None:
        current = asyncio.current_task()
        for node_id, task in self._tasks.items():
            if task is not current and not self._may_start(self._nodes[node_id]):
                task.cancel()

    def _close_rest(self) -> None:
        """Every node ends, also those that a fault or a cancellation of the caller left untouched."""
        for node_id, node in self._nodes.items():
            if node_id in self._outcomes:
                continue
            outcome = self._never_started(node_id)
            self._outcomes[node_id] = outcome
            self._executor.close(node, outcome)
            self._run.finish_step(node_id, outcome)

    def _never_started(self, node_id: str) -> Outcome:
        stop = self._run.stop
        if stop is not None and stop.failed_step is not None:
            if self._is_behind(node_id, stop.failed_step):
                return skipped(Reason.UPSTREAM_FAILED, stop.message)
            return cancelled(Reason.CANCELLED, stop.message)
        return self._run.stopped_outcome()

    def _is_behind(self, node_id: str, failed_step: str) -> bool:
        """Whether a node is downstream of a failed step, however far."""
        target = self._alias.get(failed_step, failed_step)
        if target not in self._behind:
            found: set[str] = set()
            rest = [target]
            while rest:
                fresh = set(self._dependents.get(rest.pop(), ())) - found
                found |= fresh
                rest += fresh
            self._behind[target] = frozenset(found)
        return node_id in self._behind[target]
