"""Progress of a run on stderr: a picture that is redrawn on a terminal, plain lines anywhere else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from agentainer_tui.commands.console import err, is_terminal
from agentainer_tui.commands.family import Family
from agentainer_tui.commands.narration import narrate
from agentainer_tui.text import fit
from agentainer_tui.views import RunView, StepView
from engine.events import Event, EventType

_GROUPING = 0.05


class Progress(Protocol):
    """Shows how a run goes on."""

    interval: float | None
    """Seconds after which it wants to be shown again without news; None: never."""

    def show(self, family: Family, events: Sequence[Event]) -> None:
        """The run and those that are part of it as they are now, and what happened since the last call."""
        ...

    def note(self, text: str) -> None:
        """Say something that is not an event of the run."""
        ...

    def close(self) -> None:
        """Leave the last picture and give the terminal back."""
        ...


class PlainProgress:
    """One line for each transition: time offset, step, status, details.

    The steps of child runs are told behind the step that runs them; of the runs of items, the items alone.
    """

    interval: float | None = None

    def show(self, family: Family, events: Sequence[Event]) -> None:
        """Print the lines of the new events."""
        root = family.root
        for event in events:
            told = narrate(event, family.view(event.run_id)) if _is_told(event, family) else None
            if told is not None and root is not None:
                who, what, details = told
                who = f"{family.place(event.run_id)}{who}"
                offset = max(0.0, event.time.timestamp() - (root.created_at or 0.0))
                name = fit(who, max(20, len(who)))
                status = err.paint(f"{what:<10}", what)
                err.write(f"{offset:8.1f}s  {name}  {status}  {details}".rstrip() + "\n")

    def note(self, text: str) -> None:
        """Print it, marked as ours."""
        err.line(f"agentainer: {text}")

    def close(self) -> None:
        """Nothing to give back."""


def _is_told(event: Event, family: Family) -> bool:
    """Of child runs their steps are told, since the step that runs them says how they began and ended."""
    if event.run_id == family.run_id or is_gate(event):
        return True
    return event.step_id is not None and not family.is_of_item(event.run_id)


def make_progress() -> Progress:
    """The picture for a terminal that can be redrawn, lines otherwise."""
    if is_terminal(sys.stderr) and os.environ.get("TERM") not in (None, "", "dumb"):
        from agentainer_tui.commands.live import LiveProgress

        return LiveProgress()
    return PlainProgress()


def is_gate(event: Event) -> bool:
    """Whether a step begins to wait for a person."""
    return event.type is EventType.STEP_WAITING and event.data.get("why") == "approval"


async def follow(
    events: AsyncIterator[Event],
    progress: Progress,
    run_id: str,
    on_gate: Callable[[RunView, StepView], None],
) -> None:
    """Show a run with those that are part of it until it has ended. What comes together is shown together.

    Args:
        events: of the journal; those of other runs are passed over.
        progress: where it is shown.
        run_id: the run.
        on_gate: called for every step that begins to wait for a person.
    """
    arrived: list[Event] = []
    news = asyncio.Event()

    async def collect() -> None:
        try:
            async for event in events:
                arrived.append(event)
                news.set()
        finally:
            news.set()

    family = Family(run_id)
    collector = asyncio.create_task(collect())
    try:
        while family.root is None or not family.root.status.is_terminal:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(progress.interval):
                    await news.wait()
            news.clear()
            batch, arrived[:] = arrived[:], []
            own = family.take(batch)
            if family.root is not None:
                progress.show(family, own)
            for event in filter(is_gate, own):
                view = family.view(event.run_id)
                if (step := view.steps[event.step_id or ""]).is_gate:  # it may have its answer by now
                    on_gate(view, step)
            if collector.done() and not arrived:
                break
            await asyncio.sleep(_GROUPING)
    finally:
        collector.cancel()
        # Its own error, if any, is the reason why no more events come.
        with contextlib.suppress(asyncio.CancelledError):
            await collector
