"""Signs that a plain terminal cannot show, as ASCII ones of the same width.

The signs that we choose ourselves come in two sets (`looks.py`). This is for all that is drawn besides them:
frames, scroll bars, plots, the ellipses and arrows of Textual's own widgets.
"""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter


def _table() -> dict[int, str]:
    table = dict.fromkeys(range(9472, 9600), "+")  # corners and crossings of frames
    table |= dict.fromkeys(map(ord, "─━┄┅┈┉╌╍╴╶╸╺╼╾"), "-")
    table |= dict.fromkeys(map(ord, "═"), "=")
    table |= dict.fromkeys(map(ord, "│┃┆┇┊┋╎╏║╵╷╹╻╽╿"), "|")
    table |= {ord("╱"): "/", ord("╲"): "\\", ord("╳"): "x"}
    table |= dict.fromkeys(range(9600, 9632), "#")  # blocks
    table |= dict(zip(map(ord, "▁▂▃▄▅▆▇▀▔░▏▎▕"), "__..oo#-^.|||", strict=True))
    for code in range(0x2800, 0x2900):  # braille, of which plots are made: by the number of dots
        table[code] = " .:;|%%##"[(code & 0xFF).bit_count()]
    table |= dict.fromkeys(range(9216, 9255), "?")  # pictures of control characters
    table |= dict(zip(map(ord, "←→↑↓↔↵⏎⌫…·•‣›«»×÷≤≥≠≈±−–—‘’“”✓✔✗✘\ufffd"),
                      "<>^v-<<<~-*>><>x/<>#~+---''\"\"++xx?", strict=True))  # fmt: skip
    table |= dict(zip(map(ord, "○●◌◍◐◑◒◓◔◕◯◆◇◈■□▪▫▲△▴▶▷▸►▼▽▾◀◁◂◄★☆⊘⊗⊙↻↺⟳⚠∙"),
                      "o*.**%***oo*o*#.#.^^^>>>>vvv<<<<**-/o~~~!-", strict=True))  # fmt: skip
    return table


_ASCII = _table()


def ascii_signs(text: str) -> str:
    """`text` with the signs of interfaces as ASCII; letters of other languages stay as they are."""
    return text if text.isascii() else text.translate(_ASCII)


class AsciiSigns(LineFilter):
    """Draws everything with ASCII signs, at the last moment."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same line in ASCII."""
        return [Segment(ascii_signs(text), style, control) for text, style, control in segments]
