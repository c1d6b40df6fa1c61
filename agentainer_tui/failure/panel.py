"""What the failure panel says, as lines: why, the last words of the task, what changed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agentainer_tui.failure.causes import first_line
from agentainer_tui.failure.changes import Change, took
from agentainer_tui.failure.report import Case
from agentainer_tui.failure.words import last_attempt, verdict
from agentainer_tui.inspector.entries import Line
from agentainer_tui.lines import field, heading, line
from agentainer_tui.text import ago, brief, clean, clean_lines, clean_output, duration
from agentainer_tui.views import RunView

# Lines of an error, and of a diff, that are shown; the report has more of them.
_ERROR, _DIFF = 20, 120
# How much longer or shorter than usual is worth a word.
_LONGER, _SHORTER = 1.5, 0.5
# Letters before and after that stand on one line.
_ONE_LINE = 30
# Seconds below which a comparison says nothing.
_SHORT = 1.0


def why_lines(case: Case, now: float, *, stream: str = "", read: bool = True) -> list[Line]:
    """Why it failed, and its last lines, which are of `stream`; not `read` yet: the log is on its way."""
    node = case.node
    why = verdict(node)
    lines = [field("why", clean(why.words), "error")]
    if why.hint:
        lines.append(field("", clean(why.hint), "muted"))
    if case.item is not None:
        lines.append(field("item", f"{case.item.index}: {brief(case.item.value, limit=160)}"))
    lines.append(field("when", _when(case, now)))
    if (seconds := took(node)) is not None:
        lines.append(field("took", f"{duration(seconds)}{_compared(seconds, case.usual)}"))
    attempt = last_attempt(node)
    if attempt is not None and attempt.image:
        lines.append(field("image", clean(attempt.image, limit=200)))
    if attempt is not None:
        if attempt.agent:
            lines.append(field("agent", clean(attempt.agent, limit=80)))
        lines.append(field("", "kept: s opens a shell in it" if attempt.kept else "not kept", "muted"))
    error = clean_lines(node.error.rstrip("\n")) if node.error else []
    if error:
        lines += [*heading("Error"), *(line(each, "error") for each in error[:_ERROR])]
    if not read:
        return [*lines, *heading("Last lines"), line("Reading the log…", "muted")]
    if case.lines:
        of = f" of {'standard error' if stream == 'stderr' else 'the output'}"
        lines += heading(f"Last lines{of}")
        lines += [line(clean_output(each)) for each in case.lines]
    elif node.attempts:
        lines += [*heading("Last lines"), line("It wrote nothing.", "muted")]
    return lines


def since_lines(case: Case, now: float, arrow: str = "→") -> list[Line]:
    """What is different since the last run that went well; `arrow` stands between before and after."""
    if case.good is None or case.changes is None:
        words = ("This workflow has not completed before:", "there is nothing to compare with.")
        return [line(each, "muted") for each in words]
    lines: list[Line] = [_good(case.good, now), ()]
    if not case.changes:
        lines.append(line("Nothing that the step depends on is different."))
    for change in case.changes:
        lines += _change(change, arrow)
    return lines


def _when(case: Case, now: float) -> str:
    node = case.node
    tries = case.tries or "before its first try"
    return f"{tries}, {ago(now - node.finished_at)}" if node.finished_at is not None else tries


def _compared(seconds: float, usual: float | None) -> str:
    """How that is compared with the run that went well."""
    if usual is None or max(seconds, usual) < _SHORT:
        return ""
    if seconds > _LONGER * usual:
        return f", and {duration(usual)} when it went well"
    if seconds < _SHORTER * usual:
        return f", early: {duration(usual)} when it went well"
    return ", as long as usual"


def _good(good: RunView, now: float) -> Line:
    when = f", {ago(now - good.finished_at)}" if good.finished_at is not None else ""
    return (("since run ", "muted"), (good.id[:6], "text"), (when, "muted"))


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
