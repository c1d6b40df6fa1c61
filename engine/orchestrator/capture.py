"""An attempt's output on its way to the log file, with what the engine itself needs of it set aside."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from engine.agents.backend import Stream

_STDERR_TAIL = 4096


class Log(Protocol):
    """The log file of an attempt (`history.logs.LogWriter`)."""

    def write(self, stream: Stream, data: bytes, time: datetime | None = None) -> None:
        """Append some bytes of one stream."""
        ...

    def restart(self) -> None:
        """Begin again from nothing."""
        ...


class OutputCapture:
    """A LogSink that passes all on and keeps the first `limit` bytes of stdout and the last of stderr."""

    def __init__(self, log: Log, limit: int) -> None:
        self._log = log
        self._limit = limit
        self._stdout = bytearray()
        self._stderr = bytearray()
        self.truncated = False

    def write(self, stream: Stream, data: bytes, time: datetime | None = None) -> None:
        """Take some bytes of one stream."""
        self._log.write(stream, data, time)
        if stream == "stderr":
            self._stderr += data
            del self._stderr[:-_STDERR_TAIL]
            return
        room = self._limit - len(self._stdout)
        self.truncated = self.truncated or len(data) > room
        self._stdout += data[:room]

    def restart(self) -> None:
        """The backend delivers the output again from its start."""
        self._log.restart()
        self._stdout.clear()
        self._stderr.clear()
        self.truncated = False

    @property
    def stdout(self) -> str:
        """Standard output so far, bounded; undecodable bytes replaced."""
        return self._stdout.decode("utf-8", errors="replace")

    @property
    def stderr_tail(self) -> str:
        """The last of standard error."""
        return self._stderr.decode("utf-8", errors="replace")
