"""Bars and lines made of characters, in Unicode or ASCII."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = "▏▎▍▌▋▊▉█"
LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = ".:-=+*#@"


def bar(value: float, whole: float, width: int, *, ascii_only: bool = False) -> str:
    """A bar of at most `width` cells for `value` of `whole`; whatever is more than nothing can be seen."""
    if value <= 0 or whole <= 0:
        return ""
    eighths = max(1, round(8 * width * min(1.0, value / whole)))
    if ascii_only:
        return "#" * max(1, round(eighths / 8))
    full, rest = divmod(eighths, 8)
    return "█" * full + (_BLOCKS[rest - 1] if rest else "")


def sparkline(values: Sequence[float | None], *, ascii_only: bool = False, top: float | None = None) -> str:
    """One cell for each value, the highest (or `top`) full; a blank where there is none, or it is 0."""
    levels = _ASCII_LEVELS if ascii_only else LEVELS
    highest = top or max((value for value in values if value is not None), default=0.0)
    cells = []
    for value in values:
        if value is None or value <= 0 or highest <= 0:
            cells.append(" ")
        else:
            place = min(1.0, value / highest) * (len(levels) - 1)
            cells.append(levels[round(place)])
    return "".join(cells)


def thin(values: Sequence[float | None], width: int) -> list[float | None]:
    """At most `width` values: neighbours become one, the highest of them."""
    if len(values) <= width:
        return list(values)
    parts = [values[i * len(values) // width : (i + 1) * len(values) // width] for i in range(width)]
    return [max((one for one in part if one is not None), default=None) for part in parts]
