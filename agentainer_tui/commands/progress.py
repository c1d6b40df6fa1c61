"""Progress of a run on stderr: a picture that is redrawn on a terminal, plain lines anywhere else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from agentainer_tui.commands.console import err, is_terminal
from agentainer_tui.commands.narration import narrate
from agentainer_tui.model import reduce_all
from agentainer_tui.text import fit
from agentainer_tui.views import RunView
from engine.events import Event

_GROUPING = 0.05


class Progress(Protocol):
    """Shows how a run goes on."""

    interval: float | None
    """Seconds after which it wants to be shown again without news; None: never."""

    def show(self, view: RunView, events: Sequence[Event]) -> None:
        """The run as it is now, and what happened since the last call."""
        ...

    def note(self, text: str) -> None:
        """Say something that is not an event of the run."""
        ...

    def close(self) -> None:
        """Leave the last picture and give the terminal back."""
        ...


class PlainProgress:
    """One line for each transition: time offset, step, status, details."""

    interval: float | None = None

    def show(self, view: RunView, events: Sequence[Event]) -> None:
        """Print the lines of the new events."""
        for event in events:
            told = narrate(event, view)
            if told is not None:
                who, what, details = told
                offset = max(0.0, event.time.timestamp() - (view.created_at or 0.0))
                name = fit(who, max(20, len(who)))
                status = err.paint(f"{what:<10}", what)
                err.write(f"{offset:8.1f}s  {name}  {status}  {details}".rstrip() + "\n")

    def note(self, text: str) -> None:
        """Print it, marked as ours."""
        err.line(f"agentainer: {text}")

    def close(self) -> None:
        """Nothing to give back."""


def make_progress() -> Progress:
    """The picture for a terminal that can be redrawn, lines otherwise."""
    if is_terminal(sys.stderr) and os.environ.get("TERM") not in (None, "", "dumb"):
        from agentainer_tui.commands.live import LiveProgress

        return LiveProgress()
    return PlainProgress()


async def follow(events: AsyncIterator[Event], progress: Progress) -> None:
    """Show a run, whose events these are, until it has ended. Those that come together are shown together."""
    arrived: list[Event] = []
    news = asyncio.Event()

    async def collect() -> None:
        try:
            async for event in events:
                arrived.append(event)
                news.set()
        finally:
            news.set()

    view: RunView | None = None
    collector = asyncio.create_task(collect())
    try:
        while view is None or not view.status.is_terminal:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(progress.interval):
                    await news.wait()
            news.clear()
            batch, arrived[:] = arrived[:], []
            view = reduce_all(view, batch)
            if view is not None:
                progress.show(view, batch)
            if collector.done() and not arrived:
                break
            await asyncio.sleep(_GROUPING)
    finally:
        collector.cancel()
        # Its own error, if any, is the reason why no more events come.
        with contextlib.suppress(asyncio.CancelledError):
            await collector
