"""The documentation as tests see it: its pages, and the whole workflows in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def read(page: Path) -> str:
    """The text of a page."""
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", read(page))


def workflows() -> Iterator[tuple[str, str]]:
    """The blocks that are whole workflows, fenced as `yaml workflow`: where, and the text."""
    for page in PAGES:
        blocks = [match["text"] for match in _FENCE.finditer(read(page)) if _is_workflow(match["info"])]
        for number, text in enumerate(blocks, start=1):
            yield f"{page.stem}-{number}", text


def _is_workflow(info: str) -> bool:
    return info.split() == ["yaml", "workflow"]
