"""The warm pools of this engine, as they are from second to second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.text import clean, counted

if TYPE_CHECKING:
    from engine.inventory import PoolReport

_EVERY = 1.0
_MUTED = "$foreground 62%"
_NONE = "No step has run in a warm pool since the dashboard was opened."


class PoolsDialog(Dialog[None]):
    """Size, use and reuse of each pool; read anew every second while it is open."""

    def __init__(self, read: Callable[[], Awaitable[Sequence[PoolReport]]]) -> None:
        super().__init__("Warm pools")
        self._read = read

    def compose_body(self) -> Iterable[Widget]:
        """One block a pool."""
        yield VerticalScroll(Static(id="pools"), id="body")
        yield Static("")

    async def on_mount(self) -> None:
        """The keys that scroll work at once."""
        self.query_one("#body").focus()
        self.set_interval(_EVERY, self._refresh)
        await self._refresh()

    async def _refresh(self) -> None:
        blocks = [_block(pool) for pool in await self._read()]
        self.query_one("#pools", Static).update(Content("\n\n").join(blocks) if blocks else Content(_NONE))


def _block(pool: PoolReport) -> Content:
    """What a person should know of a pool, in a few lines."""
    lines = [_agents(pool), _use(pool)]
    if pool.retired:
        gone = ", ".join(f"{count} {why}" for why, count in sorted(pool.retired.items()))
        lines.append(f"removed: {gone}")
    mode = f"  {pool.mode}" if pool.mode else ""
    head = Content.assemble((clean(pool.name, limit=50), "bold"), (mode, "$accent"))
    below = [Content.styled(f"  {clean(line, limit=200)}", _MUTED) for line in lines]
    if pool.note:
        below.append(Content.styled(f"  {clean(pool.note, limit=400)}", "$warning"))
    return Content("\n").join([head, *below])


def _agents(pool: PoolReport) -> str:
    cleaned = pool.size - pool.busy - pool.idle - pool.starting
    counts = {"busy": pool.busy, "idle": pool.idle, "starting": pool.starting, "being cleaned": cleaned}
    parts = ", ".join(f"{count} {word}" for word, count in counts.items() if count > 0)
    allowed = f"{counted(pool.size, 'agent')} of {pool.min_size} to {pool.max_size}"
    return f"{allowed}: {parts}" if parts else allowed


def _use(pool: PoolReport) -> str:
    asked = pool.hits + pool.misses
    reuse = f", {100 * pool.hits // asked} % reuse: {pool.hits} hits, {pool.misses} misses" if asked else ""
    waiting = f", {pool.waiting} waiting" if pool.waiting else ""
    return f"{counted(pool.tasks, 'task')}{reuse}{waiting}"
