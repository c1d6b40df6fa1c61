"""One run in the foreground: from opening the engine to the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from agentainer_tui.commands.console import err, is_terminal, print_json
from agentainer_tui.commands.interruptions import Interrupted, Interruptions
from agentainer_tui.commands.invocation import command
from agentainer_tui.commands.narration import label
from agentainer_tui.commands.progress import Progress, follow, make_progress
from agentainer_tui.commands.remarks import remarks_told
from agentainer_tui.commands.report import print_failures, print_summary
from agentainer_tui.text import duration
from engine.errors import HistoryError, UsageError
from engine.events import RunStatus
from engine.facade import Engine

if TYPE_CHECKING:
    from agentainer_tui.views import RunView, StepView
    from engine.facade import RunRecord, Settings

EXIT_CODES = {
    RunStatus.COMPLETED: 0,
    RunStatus.FAILED: 1,
    RunStatus.PARTIALLY_COMPLETED: 3,
    RunStatus.CANCELLED: 130,
}
Begin = Callable[[Engine], Awaitable[str]]
_PICTURE_LAG = 2.0
_POLL = 0.5


def execute(settings: Settings, begin: Begin, *, as_json: bool) -> int:
    """Open an engine, let `begin` start a run, show it to its end, print its document or a summary.

    Returns:
        The exit code (design §7).
    """
    return asyncio.run(_execute(settings, begin, as_json=as_json))


async def _execute(settings: Settings, begin: Begin, *, as_json: bool) -> int:
    with Interruptions() as interruptions:
        try:
            engine = await interruptions.unless(Engine.open(settings))
        except Interrupted:
            err.line(f"agentainer: {interruptions.by}: nothing was started")
            return EXIT_CODES[RunStatus.CANCELLED]
        async with engine:
            record = await _run(engine, begin, interruptions)
            detail = await engine.history.detail(record.id)
            status = RunStatus(record.status)
            if not status.is_terminal:
                raise HistoryError(
                    f"the end of run {record.id} could not be recorded, so it is still {status}",
                    hint="see `agentainer doctor`; the engine goes on with it when it is next started",
                )
            print_failures(detail, settings)
            if as_json:
                print_json(detail.to_json())
            else:
                print_summary(detail, settings)
    return EXIT_CODES[status]


async def _run(engine: Engine, begin: Begin, interruptions: Interruptions) -> RunRecord:
    recovered = engine.active
    with contextlib.closing(make_progress()) as progress, remarks_told(progress.note, engine.settings.home):
        for note in engine.notes:
            progress.note(note)
        run_id = await begin(engine)
        async with _obeying(engine, [run_id, *recovered], interruptions, progress):
            record = await _watch(engine, run_id, progress)
            for other in recovered:
                if other in engine.active:
                    progress.note(f"run {other}, which was interrupted earlier, goes on; waiting for its end")
                    await _wait(engine, other, progress)
    return record


async def _wait(engine: Engine, run_id: str, progress: Progress) -> None:
    """Wait for the end of a run that is not shown; say when a step in it waits for an answer."""
    told: set[tuple[str, str]] = set()
    ending = asyncio.create_task(engine.wait(run_id))
    try:
        while not ending.done():
            for gate in await engine.history.waiting_gates(run_id):
                if (gate.run_id, gate.id) not in told:
                    told.add((gate.run_id, gate.id))
                    _ask(engine, progress, gate.run_id, gate.id)
            await asyncio.wait({ending}, timeout=_POLL)
        ending.result()
    finally:
        ending.cancel()
        await asyncio.wait({ending})


def _ask(engine: Engine, progress: Progress, run_id: str, step_id: str) -> None:
    answers = f"{command(engine.settings, 'approve', run_id, step_id)}  (or reject)"
    progress.note(f"{label(step_id, None)} waits for an answer, from another terminal: {answers}")
    if is_terminal(sys.stderr):
        err.write("\a")


async def _watch(engine: Engine, run_id: str, progress: Progress) -> RunRecord:
    """Show the run until it has ended."""

    def ask(view: RunView, step: StepView) -> None:
        _ask(engine, progress, view.id, step.id)

    begun = await engine.history.run(run_id)
    async with engine.subscribe(begun.seq - 1) as events:
        following = asyncio.create_task(follow(events, progress, run_id, ask))
        try:
            record = await engine.wait(run_id)
            # Its last event is committed by now; the picture may lag behind a little.
            await asyncio.wait({following}, timeout=_PICTURE_LAG)
        finally:
            following.cancel()
            await asyncio.wait({following})
    return record


@contextlib.asynccontextmanager
async def _obeying(
    engine: Engine, run_ids: list[str], interruptions: Interruptions, progress: Progress
) -> AsyncIterator[None]:
    """Within the block, the first signal cancels the runs and the second one skips the grace."""

    async def cancel(*, hurry: bool) -> None:
        for run_id in run_ids:
            with contextlib.suppress(UsageError):  # it is over already
                await engine.cancel(run_id, by=interruptions.by, hurry=hurry)

    async def obey() -> None:
        await interruptions.asked.wait()
        grace = duration(engine.settings.stop_grace)
        progress.note(
            f"{interruptions.by}: cancelling; the tasks have {grace} to stop, Ctrl-C again stops them at once"
        )
        await cancel(hurry=False)
        await interruptions.insisted.wait()
        progress.note("stopping the tasks at once")
        await cancel(hurry=True)

    obeying = asyncio.create_task(obey())
    try:
        yield
    finally:
        obeying.cancel()
        await asyncio.wait({obeying})
        if not obeying.cancelled() and (error := obeying.exception()) is not None:
            raise error
