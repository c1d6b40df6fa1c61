"""One animated SVG from pictures that Textual exported: no player, no script.

Rows of text that stay the same from frame to frame are in the file once, so that a tour of thirty frames
takes about as much room as a handful of pictures. Who asks their system for less motion sees the first frame.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_STYLE = re.compile(r"\.terminal-\d+-(r\d+) \{ ([^}]*) \}")
_ELEMENT = re.compile(r"<rect [^>]*/>|<text [^>]*>[^<]*</text>")
_Y = re.compile(r' y="([0-9.]+)"')
_CLASS = re.compile(r'class="terminal-\d+-(r\d+)"')
_TITLE = re.compile(r'(<text class="terminal-\d+-title"[^>]*>)[^<]*</text>')
_BODY = re.compile(r'<g transform="translate\(9, 41\)"[^>]*>')
_LINE_HEIGHT = 24.4


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture, how long it stays, and what is said in the title bar meanwhile."""

    svg: str
    seconds: float
    caption: str


def animate(frames: Sequence[Frame]) -> str:
    """The frames as one SVG that plays them over and over; all must be of one size."""
    first = frames[0].svg
    head, _, rest = first.partition("<defs>")
    defs, _, rest = rest.partition("</defs>")
    body = _BODY.search(rest)
    if body is None:
        raise ValueError("not a picture as Textual exports them")
    chrome = rest[: body.start()]
    title = _TITLE.search(chrome)
    styles: dict[str, str] = {}
    rows = [_rows(frame.svg, styles) for frame in frames]
    total = sum(frame.seconds for frame in frames)
    spans: dict[tuple[int, int], str] = {}
    parts = [f'{body.group(0)}<g class="matrix">']
    for row in range(max(len(each) for each in rows)):
        contents = [each[row] if row < len(each) else "" for each in rows]
        for begin, end, content in _stretches(contents):
            if content:
                parts.append(f"<g{_shown(spans, begin, end, len(frames))}>{content}</g>")
    parts.append("</g></g>")
    if title is not None:
        captions = "".join(
            f"<g{_shown(spans, begin, end, len(frames))}>{title.group(1)}{html.escape(text)}</text></g>"
            for begin, end, text in _stretches([frame.caption for frame in frames])
        )
        chrome = chrome[: title.start()] + captions + chrome[title.end() :]
    matrix = re.sub(r"\.terminal-\d+-matrix", ".matrix", head.partition("</style>")[0])
    css = _STYLE.sub("", matrix) + _css(styles, spans, [frame.seconds for frame in frames], total)
    return f"{css}</style><defs>{defs}</defs>{chrome}{''.join(parts)}</svg>\n"


def _rows(svg: str, styles: dict[str, str]) -> list[str]:
    """The elements of each row of text, with classes that mean the same in every frame."""
    own = dict(_STYLE.findall(svg))
    body = svg[svg.rindex('<g transform="translate(9, 41)"') :]
    rows: list[list[str]] = []
    for element in _ELEMENT.findall(body):
        found = _Y.search(element)
        row = int((float(found.group(1)) if found else 0.0) / _LINE_HEIGHT - 0.05)
        while len(rows) <= row:
            rows.append([])
        named = _CLASS.search(element)
        if named is not None:
            name = styles.setdefault(own[named.group(1)], f"s{len(styles)}")
            element = _CLASS.sub(f'class="{name}"', element)
        element = re.sub(r' clip-path="[^"]*"| shape-rendering="[^"]*"', "", element)
        rows[row].append(element)
    return ["".join(row) for row in rows]


def _stretches(contents: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """What stays the same over how many frames: first, the one after the last, and what."""
    begin = 0
    for place in range(1, len(contents) + 1):
        if place == len(contents) or contents[place] != contents[begin]:
            yield begin, place, contents[begin]
            begin = place


def _shown(spans: dict[tuple[int, int], str], begin: int, end: int, count: int) -> str:
    """The attribute of a group that is seen from one frame to another; none if it always is."""
    if (begin, end) == (0, count):
        return ""
    return f' class="{spans.setdefault((begin, end), f"t{len(spans)}")}"'


def _css(
    styles: dict[str, str], spans: dict[tuple[int, int], str], seconds: Sequence[float], total: float
) -> str:
    at = [sum(seconds[:place]) / total * 100 for place in range(len(seconds) + 1)]
    rules = ["rect { shape-rendering: crispEdges }"]
    rules += [f".{name} {{ {style} }}" for style, name in styles.items()]
    for (begin, end), name in spans.items():
        rest = "" if begin == 0 else "visibility: hidden; "
        rules.append(f".{name} {{ {rest}animation: {name} {total:g}s step-end infinite }}")
        before = "" if begin == 0 else "0% { visibility: hidden } "
        after = "" if end == len(seconds) else f"{at[end]:.3f}% {{ visibility: hidden }} "
        rules.append(f"@keyframes {name} {{ {before}{at[begin]:.3f}% {{ visibility: visible }} {after}}}")
    rules.append("@media (prefers-reduced-motion) { * { animation: none !important } }")
    return "\n".join(rules)
