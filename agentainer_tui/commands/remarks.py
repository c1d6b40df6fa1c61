"""What the engine logs while a run is shown: a note beside the progress, never a traceback across it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from agentainer_tui.commands.crash import summary, write_report


@contextlib.contextmanager
def remarks_told(note: Callable[[str], None], home: Path) -> Iterator[None]:
    """Within the block, warnings and errors of the engine are told with `note`."""
    handler = _Handler(note, home)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, note: Callable[[str], None], home: Path) -> None:
        super().__init__(logging.WARNING)
        self._note = note
        self._home = home

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            text += f": {summary(error)}"
        details: BaseException | str | None = error or getattr(record, "details", None)
        if details and (path := write_report(details, self._home, {})):
            text += f"; the details are in {path}"
        self._note(text)
