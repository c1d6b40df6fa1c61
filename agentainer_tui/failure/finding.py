"""Which steps of a run failed by themselves, and which of these failures nobody has looked at yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agentainer_tui.views import ItemView, RunView, StepView
from engine.events import RunStatus, StepStatus


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that failed, or items of which did."""

    run_id: str
    step_id: str


def failures_of(view: RunView) -> list[Failure]:
    """The failures of a run, the latest first: consequences (a step that was never reached) are none."""
    failed = [step for step in view.steps.values() if has_failed(step)]
    failed.sort(key=lambda step: (_when(step), step.ordinal), reverse=True)
    return [Failure(view.id, step.id) for step in failed]


def has_failed(step: StepView) -> bool:
    """Whether a step failed by itself, or items of it did."""
    return step.status is StepStatus.FAILED or bool(step.tally.get(StepStatus.FAILED))


def failed_item(step: StepView) -> ItemView | None:
    """The first item of a step that failed."""
    return next((item for item in step.items if item.status is StepStatus.FAILED), None)


def _when(step: StepView) -> float:
    if step.status is StepStatus.FAILED and step.finished_at is not None:
        return step.finished_at
    return max((item.finished_at or 0.0 for item in step.items), default=step.started_at or 0.0)


@dataclass(slots=True)
class FailureLog:
    """What failed while the app was open, in the order in which it was noticed.

    Only runs of their own count: a failure within a child run is one of the step that runs it.
    """

    _known: dict[Failure, None] = field(default_factory=dict)
    _seen: set[Failure] = field(default_factory=set)

    def notice(self, views: Iterable[RunView]) -> list[Failure]:
        """Take runs as they are now; returns failures that are new."""
        new = []
        for view in views:
            if view.parent is not None:
                continue
            found = [failure for failure in reversed(failures_of(view)) if failure not in self._known]
            self._known.update(dict.fromkeys(found))
            if view.status is RunStatus.COMPLETED:  # the document has allowed for them
                self.see_run(view.id)
            else:
                new += found
        return new

    def see(self, failure: Failure) -> None:
        """Somebody looks at it, also at one from before the app was opened."""
        self._known.setdefault(failure)
        self._seen.add(failure)

    def see_run(self, run_id: str) -> None:
        """Somebody looks at the run: all of it is on the screen."""
        self._seen.update(failure for failure in self._known if failure.run_id == run_id)

    @property
    def all(self) -> Sequence[Failure]:
        """Those that are known, the newest first."""
        return list(reversed(self._known))

    @property
    def unseen(self) -> Sequence[Failure]:
        """Those that nobody has looked at, the newest first."""
        return [failure for failure in reversed(self._known) if failure not in self._seen]

    def place(self, failure: Failure) -> tuple[int, int]:
        """`(2, 5)`: it is the second of five; the newest is the first."""
        everything = self.all
        return (everything.index(failure) + 1 if failure in everything else 1), max(1, len(everything))

    @property
    def newest(self) -> Failure | None:
        """The newest unseen one, else the newest of all."""
        unseen = self.unseen
        return unseen[0] if unseen else next(reversed(self._known), None)
