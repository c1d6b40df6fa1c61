"""What is tried (a unit), and what one try of it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from engine.agents.backend import Placement
from engine.events import Event, EventType, StepStatus
from engine.orchestrator.context import RunContext
from engine.orchestrator.outcome import Outcome
from engine.orchestrator.phases import Phases
from engine.orchestrator.states import check_step_move
from engine.workflows.plan import PlanStep, SubWorkflowPlan


@dataclass(frozen=True, slots=True)
class Unit:
    """What attempts are made of: a step, or one item or worker of it.

    Attributes:
        step: the node of the plan.
        item: index of the item or worker, None for the step itself.
        input: what the task's input has beyond the state.
        env: what its environment has beyond the step's.
        sub: the workflow that is run for it, None where an agent runs the step's task.
        way: of a branch, the way whose workflow `sub` is.
    """

    step: PlanStep
    item: int | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    sub: SubWorkflowPlan | None = None
    way: str | None = None


class Attempt(Protocol):
    """One try of a unit: of its task by an agent, or of its workflow by a child run."""

    @property
    def number(self) -> int:
        """From 1."""
        ...

    def prepare(self) -> Event:
        """Work out what is to be done, against the state as it is now.

        Returns the event of its intent, to be committed before the first `execute`.

        Raises:
            InputError: it cannot be made.
        """
        ...

    def enter(self, phase: str | None) -> None:
        """It waits: for a slot (`queue`) or after a failure of the platform (`backoff`); None: no more."""
        ...

    async def execute(self) -> Outcome:
        """Do what was prepared, to its end. A cancellation stops it before it gets through."""
        ...

    async def resume(self, elapsed: float) -> Outcome | None:
        """Go on with what an interrupted engine began; None if that cannot be done.

        `elapsed` seconds of its timeout have gone by already.
        """
        ...

    def finished(self, outcome: Outcome, *, kept: bool) -> Event:
        """The event of its end; `kept` if its agent (should it have one) stays for now."""
        ...

    async def discard(self) -> None:
        """Remove what is half made, so that another try does not take it over."""
        ...

    async def rest(self, *, keep: bool) -> None:
        """Its task is over; its agent stays for inspection (`keep`) or will be removed, maybe much later."""
        ...

    async def end(self) -> None:
        """Stop what an interrupted engine left of it; failures become warnings."""
        ...

    async def remove(self, by: str) -> None:
        """Remove its agent, if it has one; failures become warnings, and cleanup can be repeated."""
        ...


class AttemptMoves:
    """The moves of one attempt: makes their events and knows where it stands."""

    def __init__(self, run: RunContext, unit: Unit, number: int, status: StepStatus) -> None:
        self._run = run
        self._where = (unit.step.id, unit.item, number)
        self._status = status
        self._since: float | None = None  # monotonic, of this engine: unknown after a recovery
        self._phases = Phases(run.services.clock)
        self.enter = self._phases.enter

    def created(self, **data: Any) -> Event:
        """The event of its intent."""
        return self._run.event(EventType.ATTEMPT_CREATED, *self._where, **data)

    def note_started(
        self, agent_id: str | None = None, placement: Placement | None = None, image_id: str = ""
    ) -> None:
        """Record that it runs, unless that is known already; `agent_id` is the backend's own."""
        if self._status is StepStatus.PENDING:
            self._since = self._run.services.clock.monotonic()
            where = (
                {key: value for key, value in asdict(placement).items() if value != ""} if placement else None
            )
            self._run.record(
                self._move(
                    EventType.ATTEMPT_STARTED,
                    StepStatus.RUNNING,
                    agent_id=agent_id,
                    image_id=image_id or None,
                    placement=where,
                )
            )

    def finished(self, outcome: Outcome, *, kept: bool, usage: Mapping[str, Any] | None = None) -> Event:
        """The event of its end, with what its agent used."""
        return self._move(
            EventType.ATTEMPT_FINISHED,
            outcome.status,
            reason=outcome.reason,
            error=outcome.error,
            exit_code=outcome.exit_code,
            kept=kept,
            duration=self._run.elapsed(self._since),
            phases=self._phases.close(),
            usage=usage,
        )

    def _move(self, type_: EventType, new: StepStatus, **data: Any) -> Event:
        check_step_move(self._status, new)
        event = self._run.event(type_, *self._where, old=self._status.value, status=new.value, **data)
        self._status = new
        return event
