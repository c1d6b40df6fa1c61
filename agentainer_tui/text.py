"""The one place where text of others (documents, containers, errors) becomes something safe to show.

Two dangers are met here. Textual reads a plain `str` as markup in most widgets, and a stray `[/x]` then
takes the whole app down: so text goes to widgets as `Content` only. And a terminal obeys control
characters: so those are replaced by visible signs, never sent on.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line uses this module too, and Textual takes 200 ms to import
    from textual.content import Content

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_SIGNS: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},  # control pictures: ␛ ␀ ␍ …
    0x7F: "␡",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    # Letters that turn the reading direction let a name look like another one.
    **dict.fromkeys(map(ord, _BIDI), "\ufffd"),
    **dict.fromkeys((0x2028, 0x2029), "␤"),
    0xFEFF: "",
    ord("\t"): "    ",
}
_UNSAFE = re.compile(f"[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ud800-\\udfff{_BIDI}]")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


def clean(text: object, *, limit: int = 0) -> str:
    """One line of `text` without anything a terminal obeys; control characters become visible signs.

    With `limit`, at most that many characters are looked at: a name of ten kilobytes costs no more than
    what is shown of it.
    """
    line = str(text)
    if limit and len(line) > limit:
        line = line[:limit]
    if line.isascii() and line.isprintable():
        return line
    return _UNSAFE.sub(_sign, line)


def clean_lines(text: object) -> list[str]:
    """The lines of `text`, each cleaned; carriage returns before a line's end are dropped."""
    return [clean(line.removesuffix("\r")) for line in str(text).split("\n")]


def clean_output(line: str) -> str:
    """One line of a program's output: as `clean`, and colour codes, which are no harm, vanish silently."""
    line = line.removesuffix("\r")
    if "\x1b" in line:
        line = _COLOUR.sub("", line)
    return clean(line)


def plain(text: object, style: str = "") -> Content:
    """`text` (several lines are kept) as content that is never read as markup."""
    from textual.content import Content

    safe = "\n".join(clean_lines(text))
    return Content.styled(safe, style) if style else Content(safe)


@lru_cache(maxsize=4096)
def fit(text: str, width: int, *, right: bool = False, ellipsis: str = "…") -> str:
    """Exactly `width` cells of the one-line `text`: cleaned, cut with an ellipsis, padded with blanks."""
    if width <= 0:
        return ""
    from rich.cells import cell_len, set_cell_size

    line = clean(text, limit=4 * width + 16)
    size = cell_len(line)
    if size > width:
        line = set_cell_size(line, width - 1) + ellipsis
        size = cell_len(line)
    blanks = " " * (width - size)
    return blanks + line if right else line + blanks


def _sign(match: re.Match[str]) -> str:
    return _SIGNS.get(ord(match.group()), "\ufffd")


def duration(seconds: float | None) -> str:
    """Seconds as people read them, at most six characters: `0.4s` `12s` `3m05s` `2h10m` `4d3h`."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"


def precise(seconds: float | None) -> str:
    """As `duration`, with milliseconds where tenths of a second would be nothing: `4ms` `95ms` `0.4s`."""
    if seconds is None or seconds >= 0.0995 or seconds <= 0:
        return duration(seconds)
    return f"{max(1, round(1000 * seconds))}ms"


def ago(seconds: float) -> str:
    """How long ago, in one unit: `now` `40s ago` `5m ago` `3h ago` `2d ago`."""
    if seconds < 5:
        return "now"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return f"{int(seconds)}s ago"


def size(number: float) -> str:
    """Bytes as people read them: `12 B` `3.4 KiB` `2.0 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def counted(number: int, noun: str) -> str:
    """`1 step`, `3 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def brief(value: Any, *, limit: int = 200) -> str:
    """A JSON value in a few words on one line, for rows and titles."""
    if isinstance(value, str):
        return clean(value, limit=limit)
    if isinstance(value, dict | list) and len(value) > 20:
        return counted(len(value), "field" if isinstance(value, dict) else "element")
    import json

    return clean(json.dumps(value, ensure_ascii=False, default=str), limit=limit)


def homely(path: Path) -> str:
    """A path as people write it: `~/flows`."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
