"""The DAG of a run, or of the members of one parallel step: who may start, who is skipped, who is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

from engine.errors import Reason
from engine.events import StepStatus
from engine.orchestrator.context import RunContext
from engine.orchestrator.outcome import Outcome, cancelled, skipped
from engine.workflows.plan import FailureStrategy, PlanStep


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
        alias: for an edge to a step of a deeper level, the node of this level that contains it.
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
            node.id: {
                alias.get(target, target)
                for target in node.depends_on
                if alias.get(target, target) in self._nodes
            }
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
        run.on_stop(self._stop)

    async def run(self) -> dict[str, Outcome]:
        """Run all nodes; returns every node's outcome. A cancellation of the caller stops them all."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for node_id in [node_id for node_id, count in self._waiting.items() if count == 0]:
                    self._start(node_id)
        finally:
            self._close_rest()
        return self._outcomes

    def _start(self, node_id: str) -> None:
        if self._run.stop is None and node_id not in self._tasks:
            self._tasks[node_id] = self._group.create_task(self._one(self._nodes[node_id]))

    async def _one(self, node: PlanStep) -> None:
        judged = self._judge(node)
        if judged is not None:
            self._executor.close(node, judged)
            outcome = judged
        else:
            try:
                outcome = await self._executor.execute(node)
            except asyncio.CancelledError:
                if self._run.stop is None:
                    raise
                outcome = self._run.stopped_outcome()
        self._finish(node, outcome)

    def _judge(self, node: PlanStep) -> Outcome | None:
        """The outcome of a node that must not run, None if it may."""
        for upstream in sorted(self._upstreams[node.id]):
            outcome = self._outcomes[upstream]
            if not self._satisfies(outcome):
                return skipped(
                    Reason.UPSTREAM_FAILED, f"step {upstream!r} is {outcome.status}, which this step needs"
                )
        return None

    def _satisfies(self, upstream: Outcome) -> bool:
        match upstream.status:
            case StepStatus.COMPLETED:
                return True
            case StepStatus.FAILED:
                return self._run.plan.failure_strategy is FailureStrategy.CONTINUE
            case StepStatus.SKIPPED:
                return upstream.reason is Reason.CONDITION_FALSE
            case _:
                return False

    def _finish(self, node: PlanStep, outcome: Outcome) -> None:
        self._outcomes[node.id] = outcome
        self._run.finish_step(node.id, outcome)
        if outcome.status is StepStatus.FAILED:
            self._run.step_failed(node, outcome)
        for dependent in self._dependents[node.id]:
            self._waiting[dependent] -= 1
            if self._waiting[dependent] == 0:
                self._start(dependent)

    def _stop(self) -> None:
        current = asyncio.current_task()
        for task in self._tasks.values():
            if task is not current:
                task.cancel()

    def _close_rest(self) -> None:
        """Every node ends: those that never started because the run was stopped are closed here."""
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
            failed_node = self._alias.get(stop.failed_step, stop.failed_step)
            if self._depends_on(node_id, failed_node):
                return skipped(Reason.UPSTREAM_FAILED, stop.message)
            return cancelled(Reason.CANCELLED, stop.message)
        return self._run.stopped_outcome()

    def _depends_on(self, node_id: str, target: str) -> bool:
        """Whether `target` is upstream of `node_id`, however far."""
        seen: set[str] = set()
        rest = [node_id]
        while rest:
            for upstream in self._upstreams.get(rest.pop(), ()):
                if upstream == target:
                    return True
                if upstream not in seen:
                    seen.add(upstream)
                    rest.append(upstream)
        return False
