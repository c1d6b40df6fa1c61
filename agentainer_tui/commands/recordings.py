"""`export` and `open`: a run as one file, and the dashboard over such a file."""

from __future__ import annotations

import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from agentainer_tui.commands.console import err, is_terminal, out, print_json
from agentainer_tui.commands.dashboard import has_terminal
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.text import counted, size
from engine.errors import UsageError
from engine.events import RunStatus
from engine.facade import open_history
from engine.recordings import Recording, export_run

if TYPE_CHECKING:
    from engine.recordings import Exported, Manifest
    from engine.settings import Settings

# Seconds between two reports of progress, and events of which a run has to have more for any.
_PACE = 0.2
_MANY = 20_000
_LEFT_OUT_SHOWN = 10


def export(options: Namespace) -> int:
    """`agentainer export RUN [FILE]`: write a run into one file; its name goes to stdout."""
    settings = settings_of(options)
    meter = _Meter("written")

    async def write() -> Exported:
        async with open_history(settings) as history:
            return await export_run(
                history,
                settings,
                options.run,
                None if options.file is None else Path(options.file),
                artifacts=options.artifacts,
                overwrite=options.force,
                progress=lambda events: meter.show(events, None),
            )

    done = run_async(write())
    meter.clear()
    manifest = done.manifest
    if options.json:
        print_json(
            {
                "path": str(done.path),
                "size": done.size,
                "run": manifest.run,
                "status": manifest.status,
                "events": done.events,
                "runs": [run.id for run in manifest.runs],
                "left_out": list(manifest.left_out),
            }
        )
        return 0
    out.line(str(done.path))
    inner = len(manifest.runs) - 1
    within = f", {counted(inner, 'run')} within it" if inner else ""
    err.line(
        f"{counted(done.events, 'event')}{within}, {size(done.size)};"
        f" `agentainer open {done.path.name}` shows it on any machine"
    )
    if not RunStatus(manifest.status).is_terminal:
        err.line(f"the run is {manifest.status}: the file has what had happened until now")
    for name in manifest.left_out[:_LEFT_OUT_SHOWN]:
        err.line(f"left out: {name}")
    if len(manifest.left_out) > _LEFT_OUT_SHOWN:
        err.line(f"… and {len(manifest.left_out) - _LEFT_OUT_SHOWN} more were left out")
    return 0


def open_file(options: Namespace) -> int:
    """`agentainer open FILE…`: the dashboard over recordings, where nothing can be changed."""
    if not has_terminal():
        raise UsageError(
            "the dashboard needs a terminal for its input and output",
            hint="a recording is a ZIP archive: its events are in runs/…/events.jsonl",
        )
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, _leave)
    meter = _Meter("read")
    recording = Recording.open(
        *map(Path, options.files),
        limit=None if options.limit is None else options.limit << 30,
        progress=meter.show,
    )
    meter.clear()
    try:
        return _show(recording, settings_of(options))
    finally:
        recording.discard()


def _show(recording: Recording, settings: Settings) -> int:
    from agentainer_tui.app import run_dashboard
    from agentainer_tui.bridge.recording import RecordingClient

    return run_dashboard(
        RecordingClient(recording),
        settings,
        recording.paths[0].parent,
        now=clock_of(recording.manifests),
        first_run=recording.manifests[0].run,
    )


def clock_of(manifests: Sequence[Manifest]) -> Callable[[], float]:
    """The time in recordings: what was not over goes on until it was recorded, and no further."""
    from agentainer_tui.views import seconds

    going_on = [each for each in manifests if not RunStatus(each.status).is_terminal]
    if not going_on:
        return time.time
    recorded_at = max(seconds(each.recorded_at) or 0.0 for each in going_on)
    return lambda: recorded_at


def _leave(number: int, frame: object) -> NoReturn:
    """A terminal that goes away, or a kill, must not leave behind what was unpacked."""
    raise SystemExit(128 + number)


class _Meter:
    """How far it is, on a terminal, where it takes long enough to be asked."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._shown_at = 0.0

    def show(self, done: int, total: int | None) -> None:
        """So many events of so many."""
        now = time.monotonic()
        if max(done, total or 0) < _MANY or now - self._shown_at < _PACE or not is_terminal(sys.stderr):
            return
        self._shown_at = now
        of = f" of {total:,}" if total is not None else ""
        err.write(f"\r{done:,}{of} events {self._word}…")

    def clear(self) -> None:
        """Take the line away."""
        if self._shown_at:
            err.write("\r\x1b[K")
