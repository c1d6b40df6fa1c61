"""Following the journal live: every committed event once, in order, in bounded memory.

A subscriber that keeps up is fed from memory. One that does not (or that starts in the past) reads what it
missed from the database, and then goes on from memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.events import Event
from engine.history.reader import Reader

# Events held for a slow subscriber before it is sent to the database.
_BUFFER_LIMIT = 5_000

# Events read from the database at a time.
_PAGE = 1_000


class Subscription:
    """An async iterator of committed events. Made by `Journal.subscribe`; one consumer at a time.

    It ends when the journal is closed, after everything that was committed has been delivered.
    """

    def __init__(
        self,
        path: Path,
        after: int,
        *,
        run_id: str | None,
        behind: bool,
        on_close: Callable[[Subscription], None],
    ) -> None:
        self._reader = Reader(path)
        self._run_id = run_id
        self._delivered = after
        self._behind = behind
        self._on_close = on_close
        self._live: deque[Event] = deque()
        self._page: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._ended = False

    def push(self, events: Sequence[Event]) -> None:
        """Take newly committed events (the journal calls this)."""
        if len(self._live) + len(events) > _BUFFER_LIMIT:
            self._live.clear()
            self._behind = True
        elif not self._behind:
            mine = events if self._run_id is None else [e for e in events if e.run_id == self._run_id]
            self._live.extend(mine)
        self._wake.set()

    def end(self) -> None:
        """No more events will come (the journal calls this)."""
        self._ended = True
        self._wake.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            HistoryError: what was missed could not be read from the database.
        """
        while True:
            if self._page:
                return self._deliver(self._page.popleft())
            if self._behind:
                await self._read_page()
            elif self._live:
                event = self._live.popleft()
                if event.seq > self._delivered:
                    return self._deliver(event)
            elif self._ended:
                await self.close()
                raise StopAsyncIteration
            else:
                self._wake.clear()
                await self._wake.wait()

    def _deliver(self, event: Event) -> Event:
        self._delivered = event.seq
        return event

    async def _read_page(self) -> None:
        """Read what was missed. Live events are taken again from before the last, incomplete page on."""
        self._behind = False
        try:
            page = await self._reader.events(self._run_id, after=self._delivered, limit=_PAGE)
        except BaseException:
            self._behind = True
            raise
        if len(page) == _PAGE:
            self._behind = True
            self._live.clear()
        self._page.extend(page)

    async def close(self) -> None:
        """Stop following. Repeatable."""
        self._live.clear()
        self._page.clear()
        self._behind = False
        self.end()
        self._on_close(self)
        await self._reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
