"""`cancel`: end a run that is live here, in another process, or was left behind by a dead one."""

from __future__ import annotations

import asyncio
import time
from argparse import Namespace
from typing import TYPE_CHECKING

from agentainer_tui.commands.console import err, out
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.text import duration
from agentainer_tui.views import seconds
from engine.errors import UnavailableError
from engine.events import RunStatus
from engine.facade import cancel_run, open_history

if TYPE_CHECKING:
    from engine.facade import RunRecord, Settings

# Beyond the grace: time for SIGKILL, for the agents' removal and for the last commits.
_PATIENCE = 30.0
_POLL = 0.1


def cancel(options: Namespace) -> int:
    """`agentainer cancel RUN`; 0 once it has stopped."""
    settings = settings_of(options)
    run = run_async(_cancel(settings, options.run, hurry=options.now))
    out.line(f"run {run.id} is {run.status.replace('_', ' ')}")
    return 0


async def _cancel(settings: Settings, ref: str, *, hurry: bool) -> RunRecord:
    run = await cancel_run(settings, ref, by="agentainer cancel", hurry=hurry)
    if not RunStatus(run.status).is_terminal and not hurry:
        err.line(f"run {run.id}: its tasks have {duration(settings.stop_grace)} to stop")
    patience = settings.stop_grace + _PATIENCE
    told = False
    async with open_history(settings) as history:
        try:
            async with asyncio.timeout(patience) as limit:
                while not RunStatus(run.status).is_terminal:
                    await asyncio.sleep(_POLL)
                    run = await history.run(run.id)
                    if run.settled is not None and not hurry and not told:
                        told = True
                        left = max(0.0, (seconds(run.settled["due"]) or 0.0) - time.time())
                        limit.reschedule(asyncio.get_running_loop().time() + left + patience)
                        err.line(f"run {run.id}: its finally steps have {duration(left)}; --now skips them")
        except TimeoutError:
            raise UnavailableError(
                f"run {run.id} is marked as cancelled, but has not ended",
                hint="see `agentainer show` and `agentainer doctor`",
            ) from None
    return run
