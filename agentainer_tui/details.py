"""What the details tabs say about a step or item, as lines. Pure: views in, lines out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentainer_tui.explain import chosen, look_of, reason_words, waiting_words
from agentainer_tui.looks import LOOKS, UNKNOWN, Glyphs
from agentainer_tui.text import brief, clean, clean_lines, duration, size
from agentainer_tui.views import AttemptView, ItemView, Origin, RunView, StepView, elapsed
from agentainer_tui.widgets.lines_view import Line, line
from engine.clock import isoformat
from engine.events import Event

# More of a value than this is cut on screen; `show --json` has all of it.
MAX_VALUE_LINES = 3_000

_PAIR = re.compile(r'^(\s*)("(?:[^"\\]|\\.)*")(: )(.*)$')
_CUT = "… the rest is left out here; `agentainer show --json` has all of it"


def json_lines(value: Any) -> list[Line]:
    """A JSON value, indented and coloured."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    rows = text.split("\n")
    lines: list[Line] = []
    for row in rows[:MAX_VALUE_LINES]:
        pair = _PAIR.match(row)
        if pair:
            indent, key, colon, rest = pair.groups()
            lines.append(((indent, "text"), (clean(key), "key"), (colon, "muted"), _scalar(rest)))
        else:
            lines.append((_scalar(row),))
    if len(rows) > MAX_VALUE_LINES:
        lines.append(line(_CUT, "muted"))
    return lines


def _scalar(text: str) -> tuple[str, str]:
    bare = text.strip().rstrip(",")
    if bare[:1] == '"':
        return clean(text), "text"
    if bare in ("true", "false", "null", "{", "}", "[", "]", "{}", "[]"):
        return text, "muted"
    return clean(text), "number"


def value_lines(value: Any) -> list[Line]:
    """A result: text as it is, everything else as JSON."""
    if isinstance(value, str):
        rows = clean_lines(value)
        lines = [line(row) for row in rows[:MAX_VALUE_LINES]]
        return [*lines, line(_CUT, "muted")] if len(rows) > MAX_VALUE_LINES else lines
    return json_lines(value)


def field(name: str, value: str, ink: str = "text") -> Line:
    """`name   value` with the names in a column."""
    return ((f"{name:<11}", "muted"), (value, ink))


def heading(text: str) -> list[Line]:
    """A blank line and a heading."""
    return [(), line(text, "strong")]


def output_lines(run: RunView, step: StepView, item: ItemView | None, now: float) -> list[Line]:
    """Status, time, error, warnings and result."""
    node = item if item is not None else step
    look = look_of(node)
    words = look.word + (f", {reason_words(node.reason)}" if node.reason else "")
    if node.waiting:
        words += f": {waiting_words(node.waiting, now)}"
    if node.cached_from is not None:
        words += f", remembered from {_origin(node.cached_from)}"
    elif node.reused:
        words += ", taken over from the run before"
    lines = [field("status", words, look.ink)]
    if node.child_run:
        lines.append(field("run", f"{node.child_run} (enter on the step opens it)"))
    if node.exit_code is not None:
        lines.append(field("exit code", str(node.exit_code), "text" if node.exit_code == 0 else "error"))
    took = elapsed(node.started_at, node.finished_at, now)
    if took is not None:
        lines.append(field("time", duration(took)))
    if node.error:
        lines += heading("Error")
        lines += [line(row, "error") for row in clean_lines(node.error.rstrip("\n"))]
    warnings = [text for about, text in run.warnings if about in (None, step.id)]
    if warnings:
        lines += heading("Warnings")
        lines += [line(row, "warning") for text in warnings[-20:] for row in clean_lines(text)]
    if item is None and step.routes:
        lines += _route_lines(run, step)
    if node.artifacts:
        lines += heading("Artifacts")
        lines += [((clean(each.name), "text"), (f"  {size(each.size)}", "muted")) for each in node.artifacts]
    if node.result is not None:
        lines += [*heading("Result"), *value_lines(node.result)]
    elif item is None and step.items:
        lines += _item_lines(step)
    return lines


def _origin(origin: Origin) -> str:
    item = "" if origin.item is None else f"[{origin.item}]"
    return f"step {clean(origin.step_id)}{item} of run {origin.run_id}"


def _route_lines(run: RunView, step: StepView) -> list[Line]:
    """The ways out of a decision, with the one it went."""
    way = chosen(step)
    lines = heading("Choices")
    for each in step.routes:
        names = [run.steps[target].name if target in run.steps else target for target in each.targets]
        if each.workflow:
            names.insert(0, f"workflow {each.workflow}")
        taken = way is not None and each.label == way.label
        mark, ink = ("  chosen", "success") if taken else ("", "text" if way is None else "faint")
        leads = clean(", ".join(names)) or "nothing"
        lines.append(((f"{clean(each.label)}: ", ink), (leads, ink), (mark, "success")))
    return lines


def _item_lines(step: StepView) -> list[Line]:
    counts = ", ".join(f"{number} {LOOKS[status].word}" for status, number in step.tally.items())
    return [*heading(f"{len(step.items)} {'workers' if step.workers else 'items'}"), line(counts)]


def input_lines(
    run: RunView, step: StepView, item: ItemView | None, state: Mapping[str, Any] | None
) -> list[Line]:
    """What the last attempt was given: command, image, item and the shared state as of then."""
    lines = [field("step", clean(step.id))]
    if step.role != "main":
        lines.append(field("when", "after the run: " + step.role.replace("_", " ")))
    attempts = (item or step).attempts
    image = attempts[-1].image if attempts and attempts[-1].image else step.image
    if image:
        lines.append(field("image", clean(image)))
    if step.command:
        rows = clean_lines(step.command.rstrip("\n"))
        lines.append(field("command", rows[0]))
        lines += [field("", row) for row in rows[1:]]
    if step.sub_workflow:
        lines.append(field("workflow", clean(step.sub_workflow)))
    if step.depends_on:
        names = [run.steps[each].name if each in run.steps else each for each in step.depends_on]
        lines.append(field("after", clean(", ".join(names))))
    if step.trigger:
        lines.append(field("runs if", _TRIGGERS.get(step.trigger, clean(step.trigger))))
    if item is not None:
        lines += [*heading(f"{'Worker' if step.workers else 'Item'} {item.index}"), *value_lines(item.value)]
    if state is not None:
        return [*lines, *heading("State at the start"), *json_lines(dict(state))]
    return [*lines, (), line("It has not started: its input is the shared state at that time.", "muted")]


_TRIGGERS = {
    "all_success": "all of them completed",
    "all_done": "all of them are over, however they ended",
    "one_success": "one of them completed",
    "none_failed": "none of them failed",
}


def state_lines(run: RunView) -> list[Line]:
    """The shared state as of the last event."""
    if not run.state:
        return [line("The shared state is empty.", "muted")]
    return json_lines(dict(run.state))


def attempt_lines(step: StepView, item: ItemView | None, now: float, glyphs: Glyphs) -> list[Line]:
    """Every try: status, exit code, time, agent, error; of a map step, the tries of its items."""
    if item is None and step.items:
        return _attempts_of_items(step, now, glyphs)
    attempts = (item or step).attempts
    if not attempts:
        return [line("No attempt yet.", "muted")]
    lines: list[Line] = []
    for attempt in attempts:
        lines += _attempt(attempt, now, glyphs)
    return lines[:-1]


def _attempts_of_items(step: StepView, now: float, glyphs: Glyphs) -> list[Line]:
    lines = [line("Select an item (space shows them) for its attempts. More than one try:", "muted"), ()]
    several = [item for item in step.items if len(item.attempts) > 1]
    for item in several[:200]:
        lines.append(((f"{item.index:>4}  ", "muted"), (brief(item.value, limit=60), "text")))
        lines += [((" " * 6, "text"), *_attempt_title(attempt, now, glyphs)) for attempt in item.attempts]
    if not several:
        lines.append(line("none", "muted"))
    return lines


def _attempt_title(attempt: AttemptView, now: float, glyphs: Glyphs) -> Line:
    look = LOOKS.get(attempt.status, UNKNOWN)
    took = duration(elapsed(attempt.started_at, attempt.finished_at, now))
    code = f"exit {attempt.exit_code}" if attempt.exit_code is not None else ""
    reason = reason_words(attempt.reason) if attempt.reason and attempt.reason != "task_failed" else ""
    notes = "  ".join(part for part in (code, reason, took) if part)
    return (
        (f"{glyphs.of(attempt.status)} ", look.ink),
        (f"try {attempt.number}  ", "strong"),
        (f"{look.word}  ", look.ink),
        (notes, "muted"),
    )


def _attempt(attempt: AttemptView, now: float, glyphs: Glyphs) -> list[Line]:
    lines = [_attempt_title(attempt, now, glyphs)]
    if attempt.error:
        lines += [(("  ", "text"), (row, "error")) for row in clean_lines(attempt.error.rstrip("\n"))]
    if attempt.child_run:
        lines.append((("  run       ", "muted"), (clean(attempt.child_run), "text")))
    else:
        kept = "  kept for inspection" if attempt.kept else ""
        lines.append((("  agent     ", "muted"), (clean(attempt.agent), "text"), (kept, "warning")))
    if attempt.image:
        lines.append((("  image     ", "muted"), (clean(attempt.image), "text")))
    lines.append((("  task      ", "muted"), (clean(attempt.task_id), "text")))
    return [*lines, ()]


def event_lines(events: Iterable[Event]) -> list[Line]:
    """The journal of a step, one line an event."""
    return [_event_line(event) for event in events]


_QUIET = {"old", "document", "plan", "state", "values", "result", "changes", "children", "cache_key"}


def _event_line(event: Event) -> Line:
    where = "" if event.item is None else f"[{event.item}]"
    where += "" if event.attempt is None else f" try {event.attempt}"
    status = str(event.data.get("status", ""))
    facts = " ".join(
        f"{name}={brief(value, limit=80)}"
        for name, value in event.data.items()
        if name not in _QUIET and name != "status" and value not in (None, "", False)
    )
    return (
        (f"{isoformat(event.time)[11:23]} ", "faint"),
        (f"{event.type:<17} ", "text"),
        (f"{where.strip():<9} ", "muted"),
        (f"{status:<10} " if status else "", LOOKS.get(status, UNKNOWN).ink),
        (clean(facts), "muted"),
    )


def problems_lines(problems: Sequence[Any]) -> list[Line]:
    """The problems of a document, each with its position."""
    lines: list[Line] = []
    for problem in problems:
        is_error = problem.severity == "error"
        place = f"{problem.line}:{problem.column}  " if problem.line else ""
        lines.append(((place, "muted"), (clean(problem.message), "error" if is_error else "warning")))
    return lines
