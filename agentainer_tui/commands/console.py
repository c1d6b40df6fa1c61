"""Where the command line writes: data to stdout, everything else to stderr.

Text of others is neutralised before it reaches a terminal. A reader that goes away (`| head`) is no
error: what is written after that is dropped, and the verb's exit code stands.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from agentainer_tui.looks import LOOKS
from agentainer_tui.text import clean, clean_lines, clean_output, fit

# The pipe's reader, or the terminal, is gone: whoever ended it does not miss what comes after that.
_READER_GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET)
_INKS = {
    "faint": "2",
    "muted": "2",
    "running": "36",
    "warning": "33",
    "success": "32",
    "error": "31",
    "accent": "35",
}


def safe(text: object) -> str:
    """One or several lines of text, each without anything that a terminal obeys."""
    return "\n".join(clean_lines(text))


def is_terminal(stream: TextIO) -> bool:
    """Whether a person reads `stream`; a closed or missing stream is no terminal."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError, OSError):
        return False


def has_colour(stream: TextIO) -> bool:
    """Whether colours may be used: a terminal that is not dumb, and no `NO_COLOR`."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def prepare_streams() -> None:
    """Make the streams take every character: one that the terminal cannot show becomes an escape."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


class Channel:
    """One of the two streams; remembers when its reader has gone, and what else it failed for (`failure`)."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lost: TextIO | None = None
        self.failure: OSError | None = None

    @property
    def stream(self) -> TextIO:
        """The stream as it is now; it may be replaced while the program runs."""
        stream: TextIO = getattr(sys, self._name)
        return stream

    @property
    def closed(self) -> bool:
        """Whether its reader has gone, so that nothing needs to be written any more."""
        return self.stream is None or self.stream is self._lost

    def write(self, text: str) -> None:
        """Write `text` as it stands and flush it."""
        if self.closed:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _READER_GONE:
                self.failure = error
            self.give_up()

    def line(self, text: object = "") -> None:
        """Write lines of text after neutralising them."""
        self.write(safe(text) + "\n")

    def paint(self, text: str, status: str) -> str:
        """`text` in the colour of a status where this stream shows colours; `text` must be safe already."""
        code = _INKS.get(LOOKS[status].ink if status in LOOKS else status)
        return f"\x1b[{code}m{text}\x1b[0m" if code and has_colour(self.stream) else text

    def give_up(self) -> None:
        """Send what is written from now on nowhere; the interpreter, too, flushes its streams at exit."""
        self._lost = self.stream
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.stream.fileno())
            os.close(null)


out = Channel("stdout")
err = Channel("stderr")


def print_json(value: Any) -> None:
    """Print a JSON document; on a terminal in ASCII, so that no text in it can steer the terminal."""
    out.write(json_text(value, indent=2) + "\n")


def print_json_line(value: Any) -> None:
    """Print a JSON document on one line."""
    out.write(json_text(value) + "\n")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """`value` as exact JSON, safe for whatever stdout is."""
    ascii_only = is_terminal(sys.stdout) or not _takes_unicode(sys.stdout)
    return json.dumps(value, indent=indent, ensure_ascii=ascii_only, default=str)


def _takes_unicode(stream: TextIO | None) -> bool:
    """Whether a stream writes every character as it is, so that JSON can stay readable."""
    name = getattr(stream, "encoding", None) or "utf-8"
    return codecs.lookup(name).name in ("utf-8", "utf-16", "utf-32")


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, status: int | None = None, widest: int = 48
) -> None:
    """Print columns as wide as their contents (at most `widest` cells; the last one as long as it is).

    `status` is the column whose words are coloured.
    """
    cells = [tuple(clean(cell) for cell in row) for row in rows]
    widths = [
        min(widest, max(_width(line[i]) for line in (tuple(header), *cells))) for i in range(len(header))
    ]
    _print_row(header, widths, None, "faint")
    for row in cells:
        _print_row(row, widths, status, row[status] if status is not None else "")


def _print_row(row: Sequence[str], widths: Sequence[int], status: int | None, style: str) -> None:
    parts = []
    for index, cell in enumerate(row):
        part = fit(cell, widths[index]) if index < len(row) - 1 else cell
        parts.append(out.paint(part, style) if status in (None, index) and style else part)
    out.write("  ".join(parts).rstrip() + "\n")


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def program_line(line: str, stream: TextIO) -> str:
    """One line of a task's output: neutralised for a terminal, exact for a pipe or a file."""
    return clean_output(line) if is_terminal(stream) else line
