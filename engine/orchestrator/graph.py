"""The DAG of a run, or of the members of one parallel step: who may start, who is skipped, who is stopped."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from engine.errors import Reason
from engine.events import StepStatus
from engine.orchestrator.context import RunContext, Stop
from engine.orchestrator.faults import log_fault
from engine.orchestrator.outcome import Outcome, fault
from engine.orchestrator.shielding import uncancelled
from engine.orchestrator.triggers import failure_is_tolerated, judge
from engine.workflows.plan import PlanStep

# Why a step is not run counts more than the stop that would have kept it from running, too.
_ROUTED = (Reason.BRANCH_NOT_TAKEN, Reason.CONDITION_FALSE)


class StepExecutor(Protocol):
    """Runs a step that may start, and records the end of one that may not."""

    async def execute(self, step: PlanStep) -> Outcome:
        """Run it to its end; a cancellation is recorded and passed on."""
        ...

    def close(self, step: PlanStep, outcome: Outcome) -> None:
        """Record the end of a step that does not end by itself. Does nothing if it has ended."""
        ...

    async def abandon(self, step: PlanStep) -> None:
        """End what an interrupted engine had begun of a step that does not go on, but not the step itself."""
        ...


class Graph:
    """Starts every node as soon as all its upstreams are terminal (design §4, Skips).

    Args:
        run: the run.
        nodes: the steps of this level, in document order.
        known: outcomes that exist already: recovered, or taken over from the run that is retried.
        executor: runs and closes steps.
    """

    def __init__(
        self, run: RunContext, nodes: Iterable[PlanStep], known: Mapping[str, Outcome], executor: StepExecutor
    ) -> None:
        self._run = run
        self._nodes = {node.id: node for node in nodes}
        self._executor = executor
        upstreams = {
            node.id: {target for target in node.depends_on if target in self._nodes}
            for node in self._nodes.values()
        }
        self._dependents: dict[str, list[str]] = {node_id: [] for node_id in self._nodes}
        for node_id, targets in upstreams.items():
            for upstream in targets:
                self._dependents[upstream].append(node_id)
        self._outcomes = {node_id: known[node_id] for node_id in self._nodes if node_id in known}
        self._waiting = {
            node_id: sum(upstream not in self._outcomes for upstream in targets)
            for node_id, targets in upstreams.items()
            if node_id not in self._outcomes
        }
        self._begun: dict[str, asyncio.Task[None]] = {}
        run.on_stop(self._stop)

    async def run(self) -> dict[str, Outcome]:
        """Run all nodes; returns every node's outcome. A cancellation of the caller stops them all."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._start([node_id for node_id, count in self._waiting.items() if count == 0])
        finally:
            await uncancelled(self._give_up_rest())
        return self._outcomes

    def _start(self, ready: Iterable[str]) -> None:
        """Start nodes whose upstreams have all ended, or end them, and then those behind them."""
        queue = deque(ready)
        while queue:
            node = self._nodes[queue.popleft()]
            outcome = judge(node, self._outcomes, self._tolerated)
            if outcome is None or (outcome.reason not in _ROUTED and not self._run.goes_on(node.id)):
                self._group.create_task(self._one(node))
            else:
                queue += self._close(node, outcome)

    def _tolerated(self, node_id: str) -> bool:
        return failure_is_tolerated(self._nodes[node_id])

    async def _one(self, node: PlanStep) -> None:
        if not self._run.goes_on(node.id):
            self._start(await uncancelled(self._give_up(node)))
            return
        task = asyncio.current_task()
        assert task is not None, "this is a coroutine of the graph's group"
        self._begun[node.id] = task
        try:
            outcome = await self._executor.execute(node)
        except asyncio.CancelledError:
            if self._run.stop is None:
                raise
            outcome = self._run.stopped_outcome()
        except Exception as error:
            # Ours to answer for: the run must not stay `running` because of a fault in the engine.
            log_fault(f"run {self._run.run_id}, step {node.id}", error, self._run.secrets.masker)
            outcome = fault(error)
            self._run.request_stop(Stop(Reason.INFRA_ERROR, f"step {node.id!r}: {outcome.error}"))
        self._start(self._close(node, outcome))

    async def _give_up(self, node: PlanStep) -> list[str]:
        """End a node that never began here, and what an interrupted engine had begun of it."""
        if node.id not in self._begun:
            await self._executor.abandon(node)
        return self._close(node, self._run.never_started(node.id))

    async def _give_up_rest(self) -> None:
        for node in self._nodes.values():
            if node.id not in self._outcomes:
                await self._give_up(node)

    def _close(self, node: PlanStep, outcome: Outcome) -> list[str]:
        """The one way to end a node, by itself or not; returns the nodes that wait for nothing more."""
        self._executor.close(node, outcome)
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
        # What has its turn but did not begin finds out by itself: a task that is cancelled before its first
        # step would do nothing at all.
        current = asyncio.current_task()
        for node_id, task in self._begun.items():
            if task is not current and not self._run.goes_on(node_id):
                task.cancel()
