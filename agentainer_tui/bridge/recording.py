"""The port over a recording: everything can be read, nothing can be changed, and nothing happens any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from agentainer_tui.bridge.client import EngineClient
from agentainer_tui.client import EngineFacts, Snapshot
from agentainer_tui.views import row_of_record
from engine.errors import UsageError
from engine.events import Event
from engine.facade import Roster
from engine.recordings import Recording

if TYPE_CHECKING:
    from engine.facade import Engine, Reader
    from engine.inventory import Orphan


class RecordingClient(EngineClient):
    """Reads a recording that was opened; closes it in the end."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording.settings, recording.paths[0].parent)
        self._recording = recording

    async def _open(self) -> None:
        # All parts of the port ask an engine; what they read of it, this has as well.
        self._opened = cast("Engine", _StillEngine(self._recording))

    async def _begin(self, page: int) -> Snapshot:
        manifests = self._recording.manifests
        names = ", ".join(path.name for path in self._recording.paths)
        made = f"{manifests[0].recorded_at[:16].replace('T', ' ')}Z (agentainer {manifests[0].engine})"
        what = f"A recording of {made}" if len(manifests) == 1 else f"{len(manifests)} recordings"
        runs = [row_of_record(run) for run in await self._engine.history.runs(limit=page)]
        exported = {each.run for each in manifests}
        own = tuple(run for run in runs if not run.parent_run or run.id in exported)
        facts = EngineFacts("recording", notes=(f"{what}, read-only: {names}",), recording=names)
        return Snapshot(facts, (), own)

    def slots(self) -> tuple[int, int]:
        """Nothing runs, nothing may."""
        return 0, 0

    async def events(self) -> AsyncIterator[Sequence[Event]]:
        """Nothing more happens."""
        await asyncio.Event().wait()
        yield ()  # never

    async def orphans(self) -> tuple[tuple[Orphan, ...], tuple[str, ...]]:
        """None are looked for: those of this machine have nothing to do with it."""
        return (), ()


class _Silence:
    """The events of a run that is over, or that nobody follows any more: none."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def __aiter__(self) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield  # never


class _StillEngine:
    """What a recording has of an engine; everything else of one would change something."""

    catalog = None

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @property
    def history(self) -> Reader:
        return self._recording.history

    def subscribe(self, after: int | None = None, *, run_id: str | None = None) -> _Silence:
        return _Silence()

    def pools(self) -> tuple[Any, ...]:
        return ()

    async def kept_agents(self, ref: str | None = None) -> tuple[Any, ...]:
        return ()

    async def describe_agent(self, name: str) -> None:
        return None  # whatever is on this machine is another

    async def roster(self) -> Roster:
        return Roster()

    async def close(self) -> None:
        await self._recording.close()

    def __getattr__(self, name: str) -> Any:
        raise UsageError(
            "this is a recording: nothing in it can be changed or run",
            hint="run the workflow on this machine to do that",
        )
