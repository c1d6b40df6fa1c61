"""What became of a step or item: status, reason, error, warnings, choices, artifacts, result."""

from __future__ import annotations

from agentainer_tui.explain import chosen, look_of, reason_words, waiting_words
from agentainer_tui.inspector.entries import Entry, Words
from agentainer_tui.inspector.json_path import json_path
from agentainer_tui.inspector.words import BLANK, fact, heading, paragraph, say
from agentainer_tui.looks import LOOKS
from agentainer_tui.text import clean, counted, duration, size
from agentainer_tui.views import ItemView, Origin, RunView, StepView, elapsed
from engine.events import StepStatus

_WARNINGS = 20
_FAILURES = 100


def output_entries(run: RunView, step: StepView, item: ItemView | None, now: float) -> list[Entry]:
    """The tab Output."""
    node = item if item is not None else step
    look = look_of(node)
    told = node.reason not in ("", "task_failed")  # that it failed is said already
    words = look.word + (f", {reason_words(node.reason)}" if told else "")
    if node.waiting:
        words += f": {waiting_words(node.waiting, now)}"
    if node.cached_from is not None:
        words += f", remembered from {_origin(node.cached_from)}"
    elif node.reused:
        words += ", taken over from the run before"
    entries = [fact("status", words, look.ink)]
    if node.child_run:
        entries.append(fact("run", node.child_run, more="enter on the step opens it"))
    if node.exit_code is not None:
        entries.append(fact("exit code", str(node.exit_code), "text" if node.exit_code == 0 else "error"))
    took = elapsed(node.started_at, node.finished_at, now)
    if took is not None:
        entries.append(fact("time", duration(took), more=_tries(len(node.attempts))))
    if node.error:
        entries += [*heading("Error"), *paragraph(node.error, "error")]
    warnings = [text for about, text in run.warnings if about in (None, step.id)]
    if warnings:
        entries += heading("Warnings")
        entries += [line for text in warnings[-_WARNINGS:] for line in paragraph(text, "warning")]
    if item is None and step.routes:
        entries += _routes(run, step)
    if node.artifacts:
        entries += heading("Artifacts")
        entries += [
            Entry(Words(((clean(each.name), "text"), (f"  {size(each.size)}", "muted")), copied=each.name))
            for each in node.artifacts
        ]
    if item is None and step.items:
        entries += _items(step)
    if node.result is not None:
        entries += [BLANK, Entry(node.result, label="Result", base=_base(step, item))]
    elif node.status is StepStatus.COMPLETED and not step.items:
        entries += [*heading("Result"), say("none: it left nothing", "muted")]
    return entries


def _tries(number: int) -> str:
    return f"{number} tries" if number > 1 else ""


def _base(step: StepView, item: ItemView | None) -> str:
    """Where later steps find the result."""
    if item is not None:
        return json_path((f"{step.id}_results", item.index))
    return json_path(("steps", step.id, "result"))


def _origin(origin: Origin) -> str:
    item = "" if origin.item is None else f"[{origin.item}]"
    return f"step {clean(origin.step_id)}{item} of run {origin.run_id}"


def _routes(run: RunView, step: StepView) -> list[Entry]:
    """The ways out of a decision, with the one it went."""
    way = chosen(step)
    entries = heading("Choices")
    for each in step.routes:
        names = [run.steps[target].name if target in run.steps else target for target in each.targets]
        if each.workflow:
            names.insert(0, f"workflow {each.workflow}")
        taken = way is not None and each.label == way.label
        mark, ink = ("  chosen", "success") if taken else ("", "text" if way is None else "faint")
        leads = clean(", ".join(names)) or "nothing"
        line = ((f"{clean(each.label)}: ", ink), (leads, ink), (mark, "success"))
        entries.append(Entry(Words(line)))
    return entries


def _items(step: StepView) -> list[Entry]:
    """How many items are where, and the errors of those that failed."""
    counts = ", ".join(f"{number} {LOOKS[status].word}" for status, number in step.tally.items())
    entries = [*heading(counted(len(step.items), "worker" if step.workers else "item")), say(counts)]
    if not step.tally.get(StepStatus.FAILED):
        return entries
    failed = [item for item in step.items if item.status == StepStatus.FAILED]
    for item in failed[:_FAILURES]:
        error = clean((item.error or reason_words(item.reason)).split("\n", 1)[0], limit=300)
        line = ((f"{item.index:>6}  ", "muted"), (error, "error"))
        entries.append(Entry(Words(line, hang=8, copied=item.error)))
    if len(failed) > _FAILURES:
        entries.append(say(f"        and {len(failed) - _FAILURES} more", "muted"))
    return entries
