"""The glyph, colour and word of every status, and the other signs that are drawn; knows no Textual."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """How a status is shown: `ink` names one of the colours of `widgets.ink`."""

    glyph: str
    ascii: str
    word: str
    ink: str


LOOKS: dict[str, Look] = {
    "pending": Look("○", "o", "pending", "faint"),
    "running": Look("●", ">", "running", "running"),
    "retrying": Look("↻", "~", "retrying", "warning"),
    "cancelling": Look("◐", "<", "cancelling", "warning"),
    "completed": Look("✓", "+", "completed", "success"),
    "partially_completed": Look("◑", "%", "partial", "warning"),
    "failed": Look("✗", "x", "failed", "error"),
    "skipped": Look("⊘", "-", "skipped", "muted"),
    "cancelled": Look("⊗", "/", "cancelled", "muted"),
}
# A step that runs nothing and waits: for the answer of a person, or for time to pass.
GATE = Look("◇", "?", "waiting", "accent")
DELAY = Look("◔", "z", "waiting", "running")
# What becomes of a step in a retry.
FATES: dict[str, Look] = {
    "reused": Look("≡", "=", "reused", "success"),
    "rerun": Look("↻", "~", "rerun", "running"),
    "new": Look("+", "+", "new", "accent"),
    "ineligible": Look("▲", "!", "ineligible", "warning"),
    "gone": Look("−", "-", "gone", "muted"),
}
UNKNOWN = Look("?", "?", "unknown", "muted")
WORD_WIDTH = max(len(look.word) for look in LOOKS.values())


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs that are drawn; the ASCII set is for terminals and fonts without the others."""

    is_ascii: bool
    cursor: str
    folded: str
    unfolded: str
    brand: str
    alert: str
    bar: str
    bar_left: str
    bar_right: str
    bar_light: str
    tick: str
    times: str
    dot: str
    ellipsis: str
    branch: str
    crumb: str
    into: str
    marked: str
    rewind: str
    knob: str
    bar_ghost: str
    critical: str
    # Lines from the middle of a cell, by their directions: 1 up, 2 down, 4 left, 8 right, added up.
    lines: str
    bundle: str
    arrows: str  # up, down, left, right

    def of(self, status: str) -> str:
        """The sign of a status."""
        return self.sign(LOOKS.get(status, UNKNOWN))

    def sign(self, look: Look) -> str:
        """The sign of a look."""
        return look.ascii if self.is_ascii else look.glyph


UNICODE = Glyphs(
    False, "▌", "▸", "▾", "◆", "▲", "━", "╸", "╺", "╌", "┊", "×", "·", "…", "└", "›", "→", "■", "«", "●",
    "┄", "◂", " ╵╷│╴╯╮┤╶╰╭├─┴┬┼", "┊", "▴▾◂▸",
)  # fmt: skip
ASCII = Glyphs(
    True, "|", ">", "v", "*", "!", "=", "=", "=", "-", ":", "x", "-", "~", "`", ">", ">", "#", "<<", "O",
    ".", "<", " '.|-'.|-`.|-+++", ":", "^v<>",
)  # fmt: skip


def choose_glyphs(encoding: str | None = None, term: str | None = None) -> Glyphs:
    """Unicode where the terminal can show it: a UTF-8 locale and not the kernel's own console."""
    encoding = encoding if encoding is not None else _terminal_encoding()
    term = term if term is not None else os.environ.get("TERM", "")
    return UNICODE if encoding.lower().replace("-", "").startswith("utf") and term != "linux" else ASCII


def _terminal_encoding() -> str:
    """What the terminal takes. Python writes UTF-8 in the C locale too; who asks for that locale means it."""
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    locale = next((os.environ[name] for name in names if os.environ.get(name)), "")
    if locale in ("C", "POSIX"):
        return "ascii"
    return getattr(sys.__stdout__, "encoding", "") or ""
