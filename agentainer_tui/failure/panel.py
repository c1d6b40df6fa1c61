"""What the failure panel says, as lines: why, the last words of the task, what changed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agentainer_tui.failure.causes import first_line
from agentainer_tui.failure.changes import Change, took
from agentainer_tui.failure.report import Case
from agentainer_tui.failure.words import exit_code, last_attempt, verdict
from agentainer_tui.inspector.entries import Line
from agentainer_tui.lines import field, line
from agentainer_tui.text import ago, brief, clean, clean_lines, clean_output, duration

# Lines of an error, and of a diff, that are shown; the report has more of them.
_ERROR, _DIFF = 20, 120
# How much longer or shorter than usual is worth a word.
_LONGER, _SHORTER = 1.5, 0.5
# Letters before and after that stand on one line.
_ONE_LINE = 30
# Seconds below which a comparison says nothing.
_SHORT = 1.0


def why_lines(case: Case, now: float) -> list[Line]:
    """Why it failed, in words; an error that its last lines do not say already; which try, and where."""
    node = case.node
    why = verdict(node)
    lines = [field("why", clean(why.words), "error")]
    if why.hint:
        lines.append(field("", clean(why.hint), "muted"))
    lines += _error_lines(case)
    if case.item is not None:
        lines.append(field("item", f"{case.item.index}: {brief(case.item.value, limit=160)}"))
    lines.append(field("when", _when(case, now)))
    attempt = last_attempt(node)
    if attempt is not None and attempt.agent:
        kept = ("  kept: s opens a shell in it", "accent") if attempt.kept else ("  not kept", "faint")
        lines.append((*field("agent", clean(attempt.agent, limit=80)), kept))
    if attempt is not None and attempt.image:
        lines.append(field("image", clean(attempt.image, limit=200)))
    return lines


def last_words(case: Case, *, read: bool = True) -> list[Line]:
    """The last lines of the task; not `read` yet: the log is on its way."""
    if not read:
        return [line("Reading the log…", "muted")]
    if case.lines:
        return [line(clean_output(each)) for each in case.lines]
    return [line("It wrote nothing." if case.node.attempts else "It never ran.", "muted")]


def _error_lines(case: Case) -> list[Line]:
    """The error, unless it only repeats the exit code and the last line, as the engine makes one."""
    rows = clean_lines(case.node.error.rstrip("\n")) if case.node.error else []
    last = next((each.strip() for each in reversed(case.lines) if each.strip()), "")
    said = {verdict(case.node).words, f"exit code {exit_code(case.node)}: {clean_output(last)}"}
    if not rows or (len(rows) == 1 and rows[0] in said):
        return []
    return [field("error" if not at else "", row, "error") for at, row in enumerate(rows[:_ERROR])]


def since_lines(case: Case, arrow: str = "→") -> list[Line]:
    """What is different since the last run that went well; `arrow` stands between before and after."""
    if case.good is None or case.changes is None:
        words = ("This workflow has not completed before:", "there is nothing to compare with.")
        return [line(each, "muted") for each in words]
    if not case.changes:
        return [line("Nothing that the step depends on is different.")]
    lines: list[Line] = []
    for change in case.changes:
        lines += _change(change, arrow)
    return lines


def _when(case: Case, now: float) -> str:
    node = case.node
    words = [case.tries or "before its first try"]
    if node.finished_at is not None:
        words.append(ago(now - node.finished_at))
    if (seconds := took(node)) is not None:
        words.append(f"after {duration(seconds)}{_compared(seconds, case.usual)}")
    return ", ".join(words)


def _compared(seconds: float, usual: float | None) -> str:
    """How that is compared with the run that went well."""
    if usual is None or max(seconds, usual) < _SHORT:
        return ""
    if seconds > _LONGER * usual:
        return f" (usually {duration(usual)})"
    if seconds < _SHORTER * usual:
        return f" (early: usually {duration(usual)})"
    return " (as usual)"


def _change(change: Change, arrow: str) -> Sequence[Line]:
    if change.diff:
        inks = {"+": "success", "-": "error", "@": "accent"}
        shown = change.diff[:_DIFF]
        more = [line(f"… {len(change.diff) - _DIFF} more lines", "muted")] if len(change.diff) > _DIFF else []
        head: Line = ((clean(change.what), "strong"), (f"  {change.after}", "muted"))
        return [head, *(line(clean(each), inks.get(each[:1], "muted")) for each in shown), *more, ()]
    what = (clean(change.what, limit=120), "strong")
    before, after = (clean(first_line(text)) or "nothing" for text in (change.before, change.after))
    if len(before) + len(after) <= _ONE_LINE:
        return [(what, ("  ", "text"), (before, "muted"), (f" {arrow} ", "faint"), (after, "text"))]
    return [(what,), (("  - ", "error"), (before, "muted")), (("  + ", "success"), (after, "text"))]
