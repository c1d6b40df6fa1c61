"""Many units with one bound: fed and gathered in order, judged against the tolerance (design §4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import Reason
from engine.events import StepStatus
from engine.history.records import AttemptRecord, ItemRecord
from engine.orchestrator.outcome import Outcome

RunItem = Callable[[int, Callable[[], None], Sequence[AttemptRecord]], Coroutine[Any, Any, Outcome]]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What failures a fan-out can bear.

    Attributes:
        keep_going: run all units whatever fails; else stop as soon as the tolerance is exceeded.
        count: failures tolerated explicitly, None = nothing was said.
        percentage: the same as a share of the units that were not skipped, 0-100.
    """

    keep_going: bool
    count: int | None = None
    percentage: float | None = None

    @property
    def explicit(self) -> bool:
        """Whether the document names a tolerance at all."""
        return self.count is not None or self.percentage is not None

    def exceeded(self, failures: int, total: int) -> bool:
        """Whether that many failures are over the named tolerance; exactly met is not over."""
        over_count = self.count is not None and failures > self.count
        over_share = self.percentage is not None and failures * 100 > self.percentage * total
        return over_count or over_share

    def stops_at(self, failures: int, total: int) -> bool:
        """Whether that many failures stop the remaining units."""
        if self.keep_going or failures == 0:
            return False
        return self.exceeded(failures, total) if self.explicit else True


class FanOut:
    """Runs `count` units, at most `window` begun and not waiting for a retry at a time."""

    def __init__(
        self,
        *,
        count: int,
        window: int,
        tolerance: Tolerance,
        run_item: RunItem,
        prior: Sequence[ItemRecord] = (),
    ) -> None:
        self._count = count
        self._window = asyncio.Semaphore(window)
        self._tolerance = tolerance
        self._run_item = run_item
        self._prior = prior
        self._outcomes: list[Outcome | None] = [None] * count
        self._first_failure: tuple[int, Outcome] | None = None
        self._failures = 0
        self._skipped = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun: set[int] = set()
        self._stopped = False

    async def run(self) -> Outcome:
        """Run them all, as far as the tolerance allows, and judge."""
        # All that is known first: a failure among it may stop the rest, and what has ended is not the rest.
        rest = [index for index in range(self._count) if not self._take_over(index)]
        async with asyncio.TaskGroup() as group:
            for index in rest:
                await self._window.acquire()
                if self._stopped:
                    break
                task = group.create_task(self._one(index))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return self._judge()

    def never_begun(self) -> list[int]:
        """The units that a stop left untouched, in order."""
        return [index for index in range(self._count) if index not in self._begun]

    def errors(self) -> list[dict[str, Any]]:
        """The failed units, in order, for the shared state."""
        return [
            {"index": index, "reason": outcome.reason, "error": outcome.error}
            for index, outcome in enumerate(self._outcomes)
            if outcome is not None and outcome.status is StepStatus.FAILED
        ]

    def _take_over(self, index: int) -> bool:
        """Whether history has this unit's end already."""
        if index >= len(self._prior):
            return False
        record = self._prior[index]
        status = StepStatus(record.status)
        if not status.is_terminal:
            return False
        self._begun.add(index)
        reason = Reason(record.reason) if record.reason else None
        outcome = Outcome(
            status,
            reason,
            record.error,
            result=record.result,
            exit_code=record.exit_code,
            partial=record.partial,
        )
        self._note(index, outcome)
        return True

    async def _one(self, index: int) -> None:
        holding = True
        self._begun.add(index)

        def give_back() -> None:
            nonlocal holding
            if holding:
                holding = False
                self._window.release()

        attempts = self._prior[index].attempts if index < len(self._prior) else ()
        try:
            self._note(index, await self._run_item(index, give_back, attempts))
        except asyncio.CancelledError:
            # Ours when siblings are being stopped; the caller's otherwise.
            if not self._stopped:
                raise
        finally:
            give_back()

    def _note(self, index: int, outcome: Outcome) -> None:
        self._outcomes[index] = outcome
        self._skipped += outcome.status is StepStatus.SKIPPED
        if outcome.status is StepStatus.FAILED:
            self._failures += 1
            if self._first_failure is None:
                self._first_failure = (index, outcome)
        # A skipped one, too, can be the one too many: the share of those that failed has become larger.
        if not self._stopped and self._tolerance.stops_at(self._failures, self._count - self._skipped):
            self._stopped = True
            current = asyncio.current_task()
            for task in self._tasks:
                if task is not current:
                    task.cancel()
            self._window.release()  # the feeder may be waiting for room

    def _judge(self) -> Outcome:
        results = [outcome.result if outcome and outcome.ok else None for outcome in self._outcomes]
        partial = any(outcome.partial for outcome in self._outcomes if outcome)
        if self._first_failure is None:
            return Outcome(StepStatus.COMPLETED, result=results, partial=partial)
        index, first = self._first_failure
        tolerance, failures, total = self._tolerance, self._failures, self._count - self._skipped
        bearable = not tolerance.exceeded(failures, total) if tolerance.explicit else tolerance.keep_going
        if bearable and failures < total:
            return Outcome(StepStatus.COMPLETED, result=results, partial=partial or not tolerance.explicit)
        error = f"{failures} of {total} failed, the first: item {index}: {first.error}"
        return Outcome(StepStatus.FAILED, first.reason, error, result=results, exit_code=first.exit_code)
