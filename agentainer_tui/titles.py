"""The title of the terminal's window: what is going on, for whoever looks at another one."""

from __future__ import annotations

from collections.abc import Sequence

from agentainer_tui.looks import Glyphs
from agentainer_tui.text import clean
from agentainer_tui.views import RunRow

# XTWINOPS: terminals keep a stack of titles; those that do not ignore it.
SAVE_TITLE = "\x1b[22;0t"
UNSAVE_TITLE = "\x1b[23;0t"
_LONGEST = 80
_NAME = "agentainer"


def window_title(active: Sequence[RunRow], glyphs: Glyphs) -> str:
    """What runs and how far it is: `3/9 count`, or `2 runs 40%`."""
    if not active:
        return _NAME
    gates = sum(1 for run in active if run.gates)
    waits = f" {glyphs.dot} waits for you" if gates else ""
    if len(active) > 1:
        done, total = sum(run.done for run in active), sum(run.total for run in active)
        what = f"{len(active)} runs" + (f" {100 * done // total}%" if total else "")
    else:
        (run,) = active
        count = f"{run.done}/{run.total} " if run.total else ""
        what = count + clean(run.workflow, limit=40)
    return f"{glyphs.of('running')} {what}{waits} {glyphs.dot} {_NAME}"


def title_sequence(title: str) -> str:
    """What tells a terminal its title (OSC 2); nothing in it can end the sequence early or go on after it."""
    return f"\x1b]2;{clean(title, limit=_LONGEST)}\x07"
