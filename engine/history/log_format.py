"""The format of log files, the CRI one: `<RFC 3339 time> stdout|stderr P|F <text>`, one record a line.

The text of a P(artial) record goes on in the next record of the same stream. Texts are the bytes that the
task wrote, without the newline; only readers make characters of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Longest text of one record, in bytes; a longer line becomes several.
CHUNK = 16 * 1024

# Longest record: the text and what stands before it.
RECORD_LIMIT = CHUNK + 64

_SLICE = 64 * 1024


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line (or with `partial` a piece of one) of an attempt's output.

    Attributes:
        time: when it came, ISO 8601 UTC; empty if the record is damaged.
        stream: `stdout` or `stderr`.
        text: without the line's end; undecodable bytes replaced, everything else as the task wrote it,
            control characters too. Neutralise them before showing it.
        partial: the line goes on in the next one of the same stream.
        end: offset in the file after it, to read on from.
    """

    time: str
    stream: str
    text: str
    partial: bool = False
    end: int = 0


def record(stamp: str, stream: str, text: bytes, *, partial: bool = False) -> bytes:
    """One record of the file, with its newline."""
    return b"%s %s %s %s\n" % (stamp.encode(), stream.encode(), b"P" if partial else b"F", text)


def parse(line: bytes, end: int) -> LogLine:
    """The log line in a record; what is not a record is the text of a line of its own."""
    parts = line.removesuffix(b"\n").split(b" ", 3)
    if len(parts) == 4 and parts[1] in (b"stdout", b"stderr") and parts[2] in (b"P", b"F"):
        stamp, stream, tag, text = parts
        partial = tag == b"P"
        text = text if partial else text.removesuffix(b"\r")
        return LogLine(
            stamp.decode("ascii", "replace"), stream.decode(), text.decode("utf-8", "replace"), partial, end
        )
    return LogLine("", "stdout", line.removesuffix(b"\n").decode("utf-8", "replace"), False, end)


class Splitter:
    """Makes records of one stream's bytes as they come; holds back at most one chunk of an unended line."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._line = bytearray()
        self._stamp = ""

    @property
    def holds(self) -> bool:
        """Whether there is an unended line."""
        return bool(self._line)

    def feed(self, data: bytes, stamp: str) -> Iterator[bytes]:
        """The records that `data` completes."""
        for start in range(0, len(data), _SLICE):
            *ended, rest = data[start : start + _SLICE].split(b"\n")
            for text in ended:
                yield from self._extend(text, stamp)
                yield record(stamp, self._stream, bytes(self._line))
                self._line.clear()
            yield from self._extend(rest, stamp)
            self._stamp = stamp

    def drain(self, *, partial: bool) -> Iterator[bytes]:
        """The unended line, as a piece of one (it may go on) or as a whole one (the output is over)."""
        if self._line:
            text = bytes(self._line)
            self._line.clear()
            yield record(self._stamp, self._stream, text, partial=partial)

    def _extend(self, text: bytes, stamp: str) -> Iterator[bytes]:
        self._line += text
        while len(self._line) > CHUNK:
            cut = _character_boundary(self._line, CHUNK)
            yield record(stamp, self._stream, bytes(self._line[:cut]), partial=True)
            del self._line[:cut]


def _character_boundary(text: bytearray, limit: int) -> int:
    """The last place up to `limit` that is not inside a UTF-8 character."""
    for place in range(limit, limit - 4, -1):
        if text[place] & 0xC0 != 0x80:
            return place
    return limit
