"""The last lines of a log: those of standard error where there are any, since programs complain there."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from agentainer_tui.log_source import LogLine, LogSource

# Lines that are looked at, and those that are taken.
_LOOKED_AT = 400
TAKEN = 40


async def last_lines(source: LogSource) -> list[LogLine]:
    """The last lines of a log as it is now, oldest first; the log is closed after that."""
    try:
        async with aclosing(cast("Any", source.watch())) as extents:
            extent = await anext(extents, None)
        if extent is None:
            return []
        first = max(extent.first, extent.last - _LOOKED_AT)
        found = await source.lines(range(first, extent.last))
    finally:
        await source.close()
    lines = [found[number] for number in sorted(found)]
    complaints = [line for line in lines if line.stream == "stderr" and line.text.strip()]
    return (complaints or lines)[-TAKEN:]
