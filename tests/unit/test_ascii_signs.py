from __future__ import annotations

import dataclasses

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color

from agentainer_tui.ascii_signs import _ASCII, AsciiSigns, ascii_signs
from agentainer_tui.looks import ASCII, LOOKS, UNICODE


def test_every_sign_of_ours_has_an_ascii_one_of_the_same_width() -> None:
    for field in dataclasses.fields(UNICODE):
        sign = getattr(UNICODE, field.name)
        if isinstance(sign, str):
            assert ascii_signs(sign).isascii(), field.name
            assert len(ascii_signs(sign)) == len(sign)
            assert getattr(ASCII, field.name).isascii()
    assert all(ascii_signs(look.glyph).isascii() for look in LOOKS.values())


def test_a_sign_takes_one_cell_before_and_after() -> None:
    for code, sign in _ASCII.items():
        assert len(sign) == 1
        assert sign.isascii()
        assert sign.isprintable()
        assert cell_len(chr(code)) == 1, hex(code)


def test_frames_and_plots_become_ascii_and_letters_stay() -> None:
    assert ascii_signs("╭─ Läufe ─╮│▁█⣿…→") == "+- Läufe -+|_##~>"
    line = AsciiSigns().apply([Segment("╭漢╮")], Color.parse("black"))
    assert line[0].text == "+漢+"
