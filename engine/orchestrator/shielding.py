"""Work that a cancellation must not interrupt: stopping agents, recording ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def uncancelled(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end whatever happens to the caller, then let a pending cancellation through.

    A delete issued on an already cancelled context is the best known way to leave a container running.
    """
    task = asyncio.ensure_future(work)
    interrupted: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if not task.done():
                interrupted = error
        except Exception:
            break  # task.result() below raises it again
    if interrupted is not None:
        task.exception()  # retrieved, since the cancellation is what the caller must see
        raise interrupted
    return task.result()
