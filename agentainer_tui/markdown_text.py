"""Text of anyone inside Markdown, where it is neither markup nor the end of what it stands in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from agentainer_tui.failure.causes import first_line
from agentainer_tui.text import clean, clean_output


def code(text: str) -> str:
    """The first line of a text that says something, to stand between backquotes."""
    return clean(first_line(text)).replace("`", "'")


def cell(text: str) -> str:
    """As `code`, in a table."""
    return code(text).replace("|", "\\|")


def fenced(lines: Sequence[str], language: str = "") -> Iterator[str]:
    """Lines as they are, in a fence that is longer than any in them."""
    safe = [clean_output(line) for line in lines]
    longest = max((len(run) for line in safe for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from (f"{fence}{language}", *safe, fence)
