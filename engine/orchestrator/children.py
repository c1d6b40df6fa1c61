"""Child runs: an attempt that is a run of its own, what it is given and what it leaves (design §4)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from engine.errors import DocumentError, InputError, Reason, UsageError
from engine.events import Event, RunStatus, StepStatus
from engine.history.records import RunDetail
from engine.orchestrator import naming
from engine.orchestrator.attempt import AttemptMoves, Unit
from engine.orchestrator.context import RESERVED, RunContext
from engine.orchestrator.outcome import Outcome, failed
from engine.orchestrator.ports import ChildRuns, ChildSpec, ParentLink
from engine.workflows.conditions import same
from engine.workflows.params import resolve_params
from engine.workflows.plan import Path, Plan, SubWorkflowPlan


class ChildAttempt:
    """An `Attempt` at a unit's workflow: a child run, found again after a crash by its id."""

    def __init__(
        self, run: RunContext, unit: Unit, number: int, status: StepStatus = StepStatus.PENDING
    ) -> None:
        self.number = number
        self._moves = AttemptMoves(run, unit, number, status)
        self.enter = self._moves.enter
        self._run = run
        self._unit = unit
        self._spec: ChildSpec | None = None
        self._child = naming.child_run_id(run.run_id, unit.step.id, unit.item, number)

    def prepare(self) -> Event:
        """Work out what the child begins with; see `Attempt`."""
        self._spec = child_spec(self._run, self._unit, self.number)
        unit = self._unit
        return self._moves.created(
            task_id=naming.task_id(self._run.run_id, unit.step.id, unit.item, self.number),
            agent="",
            backend=self._run.services.backend.name,
            log="",
            child_run=self._child,
        )

    async def execute(self) -> Outcome:
        """See the child through; see `Attempt`."""
        assert self._spec is not None, "prepared before"
        self.enter("run")
        self._moves.note_started()
        return await self._see_through(self._spec, self._unit.step.timeout)

    async def resume(self, elapsed: float) -> Outcome | None:
        """Go on with the child, or start it after all; see `Attempt`."""
        try:
            spec = child_spec(self._run, self._unit, self.number)
        except InputError as error:
            await self.end()
            return failed(Reason.INPUT_ERROR, str(error))
        self._moves.note_started()
        timeout = self._unit.step.timeout
        return await self._see_through(spec, None if timeout is None else max(0.0, timeout - elapsed))

    def finished(self, outcome: Outcome, *, kept: bool) -> Event:
        """The event of its end. It has no agent to keep, whatever `kept` says; its child has its own."""
        return self._moves.finished(outcome, kept=False)

    async def discard(self) -> None:
        """There is nothing half made; see `Attempt`."""

    async def rest(self, *, keep: bool) -> None:
        """A child run has no agent; see `Attempt`."""

    async def end(self) -> None:
        """Cancel the child and wait for its end; see `Attempt`."""
        await self._children.end(self._child)

    async def remove(self, by: str) -> None:
        """There is no agent; see `Attempt`."""

    @property
    def _children(self) -> ChildRuns:
        assert self._run.children is not None, "whoever makes a run with sub-workflows can run them"
        return self._run.children

    async def _see_through(self, spec: ChildSpec, timeout: float | None) -> Outcome:
        try:
            async with asyncio.timeout(timeout):
                detail = await self._children.see_through(spec)
        except TimeoutError:
            limit = self._unit.step.timeout
            return failed(
                Reason.TIMED_OUT, f"child run {spec.run_id} did not finish within its timeout of {limit:g} s"
            )
        except DocumentError as error:
            return failed(Reason.INVALID_DEFINITION, f"the workflow cannot run here: {error}", started=False)
        assert self._unit.sub is not None
        began = await self._children.initial_state(spec.run_id)
        return outcome_of(self._unit.sub, detail, began)


def child_spec(run: RunContext, unit: Unit, number: int) -> ChildSpec:
    """The child run of attempt `number` of a unit, against the state as it is now.

    Raises:
        InputError: an input finds nothing, or does not fit the param that it is for.
    """
    sub = unit.sub
    assert sub is not None, "child runs are made for units with a workflow"
    plan = sub.inline or run.plan.children[sub.name]
    given = _inputs(run, unit, sub, plan)
    try:
        params = resolve_params(plan, {name: value for name, value in given.items() if name in plan.params})
    except UsageError as error:
        raise InputError(f"inputs of the workflow {plan.workflow!r}: {error.message}") from None
    fields = {name: value for name, value in given.items() if name not in plan.params}
    return ChildSpec(
        run_id=naming.child_run_id(run.run_id, unit.step.id, unit.item, number),
        plan=plan,
        parent=ParentLink(run.run_id, unit.step.id, unit.item, number, unit.way),
        params=params,
        state={**plan.state, **fields},
        retry_of=run.earlier_children.get((unit.step.id, unit.item)) if number == 1 else None,
    )


def _inputs(run: RunContext, unit: Unit, sub: SubWorkflowPlan, plan: Plan) -> dict[str, Any]:
    """What is handed over by name: what the step says, else the whole state; and the item of a map."""
    if sub.inputs is not None:
        scope = run.scope(unit.input)
        written = {name: value.evaluate(scope) for name, value in sub.inputs.items()}
        return {**unit.input, **written}
    state = {
        name: value
        for name, value in run.state.items()
        # A field that is null says nothing about a param of the same name.
        if name not in RESERVED and not (value is None and name in plan.params)
    }
    return {**state, **unit.input}


def outcome_of(sub: SubWorkflowPlan, child: RunDetail, began: Mapping[str, Any]) -> Outcome:
    """What the end of a child run is for the step: its result are the fields that the child gives."""
    run = child.run
    if run.status == RunStatus.CANCELLED:
        return failed(Reason.SUB_WORKFLOW_FAILED, f"child run {run.id} was cancelled")
    if run.status == RunStatus.FAILED:
        return failed(Reason.SUB_WORKFLOW_FAILED, f"child run {run.id}: {run.error or run.reason}")
    try:
        result = given_back(sub.outputs, child.state, began)
    except InputError as error:
        return failed(Reason.BAD_RESULT, f"outputs of child run {run.id}: {error}")
    partial = run.status == RunStatus.PARTIALLY_COMPLETED
    return Outcome(StepStatus.COMPLETED, result=result, partial=partial)


def given_back(
    outputs: str | Mapping[str, Path], end: Mapping[str, Any], began: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields that `outputs` name, else those that are new or other at the child's end.

    Raises:
        InputError: a path finds nothing in the child's state.
    """
    if not isinstance(outputs, str):
        return {name: path.find(end) for name, path in outputs.items()}
    return {
        name: value
        for name, value in end.items()
        if name not in RESERVED and not (name in began and same(began[name], value))
    }
