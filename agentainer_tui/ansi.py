"""Colours of programs: SGR sequences become styles; nothing else that a terminal obeys gets through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from rich.color import Color
from rich.style import Style

from agentainer_tui.text import clean

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
# Codes that switch one thing on or off. Concealed and blinking text is shown as any other.
_SWITCHES: dict[int, tuple[str, bool]] = {
    1: ("bold", True),
    2: ("dim", True),
    3: ("italic", True),
    4: ("underline", True),
    7: ("reverse", True),
    9: ("strike", True),
    23: ("italic", False),
    24: ("underline", False),
    27: ("reverse", False),
    29: ("strike", False),
}


class Coloured(NamedTuple):
    """Text that is safe to show, and the styles of parts of it: start, end, style."""

    text: str
    styles: tuple[tuple[int, int, Style], ...] = ()


def coloured(line: str) -> Coloured:
    """One line of a program's output; control characters other than colours become visible signs."""
    line = line.removesuffix("\r")
    if "\x1b" not in line:
        return Coloured(clean(line))
    parts: list[str] = []
    styles: list[tuple[int, int, Style]] = []
    state: dict[str, object] = {}
    place = length = 0
    for match in _SGR.finditer(line):
        length = _add(parts, styles, clean(line[place : match.start()]), length, state)
        _apply(match.group(1), state)
        place = match.end()
    _add(parts, styles, clean(line[place:]), length, state)
    return Coloured("".join(parts), tuple(styles))


def without_colours(line: str) -> str:
    """The text that is searched in: as shown, without colours."""
    if "\x1b" in line:
        line = _SGR.sub("", line)
    return clean(line.removesuffix("\r"))


def _add(
    parts: list[str],
    styles: list[tuple[int, int, Style]],
    text: str,
    length: int,
    state: dict[str, object],
) -> int:
    if text:
        parts.append(text)
        if state:
            styles.append((length, length + len(text), _style(tuple(sorted(state.items(), key=_name)))))
    return length + len(text)


def _name(item: tuple[str, object]) -> str:
    return item[0]


@lru_cache(maxsize=1024)
def _style(items: tuple[tuple[str, object], ...]) -> Style:
    known = dict(items)
    if known.get("color") == known.get("bgcolor"):
        known.pop("bgcolor", None)  # writing that hides itself
    return Style(**known)  # type: ignore[arg-type]


def _apply(codes: str, state: dict[str, object]) -> None:
    """Let the numbers of one sequence change the state; unknown ones are passed over."""
    numbers = _numbers(codes)
    for code in numbers:
        if code == 0:
            state.clear()
        elif code in _SWITCHES:
            name, on = _SWITCHES[code]
            state.pop(name, None)
            if on:
                state[name] = True
        elif code == 22:
            state.pop("bold", None)
            state.pop("dim", None)
        elif code in (38, 48):
            colour = _extended(numbers)
            if colour is not None:
                state["color" if code == 38 else "bgcolor"] = colour
        elif code in (39, 49):
            state.pop("color" if code == 39 else "bgcolor", None)
        else:
            for start, name, first in (
                (30, "color", 0),
                (40, "bgcolor", 0),
                (90, "color", 8),
                (100, "bgcolor", 8),
            ):
                if start <= code < start + 8:
                    state[name] = Color.from_ansi(first + code - start)


def _numbers(codes: str) -> Iterator[int]:
    for code in re.split("[;:]", codes):
        yield int(code[-4:]) if code else 0


def _extended(numbers: Iterator[int]) -> Color | None:
    """The colour that follows 38 or 48: `5;n` or `2;r;g;b`."""
    kind = next(numbers, -1)
    if kind == 5:
        number = next(numbers, -1)
        return Color.from_ansi(number) if 0 <= number <= 255 else None
    if kind == 2:
        red, green, blue = (next(numbers, -1) for _ in range(3))
        if all(0 <= part <= 255 for part in (red, green, blue)):
            return Color.from_rgb(red, green, blue)
    return None
