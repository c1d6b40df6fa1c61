"""What a task was given: command, item, and the input as its container finds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentainer_tui.inspector.entries import Entry
from agentainer_tui.inspector.words import BLANK, command_entries, fact, say
from agentainer_tui.text import clean, counted
from agentainer_tui.views import ItemView, RunView, StepView
from engine.events import StepStatus

_TRIGGERS = {
    "all_success": "all of them completed",
    "all_done": "all of them are over, however they ended",
    "one_success": "one of them completed",
    "none_failed": "none of them failed",
}


def input_entries(
    run: RunView, step: StepView, item: ItemView | None, state: Mapping[str, Any] | None
) -> list[Entry]:
    """The tab Input; `state` is the shared state as of the start, None while it is not known."""
    entries = [fact("step", clean(step.id))]
    if step.role != "main":
        entries.append(fact("when", "after the run: " + step.role.replace("_", " ")))
    attempts = (item or step).attempts
    image = attempts[-1].image if attempts and attempts[-1].image else step.image
    if image:
        entries.append(fact("image", clean(image)))
    entries += command_entries(step.command)
    if step.sub_workflow:
        entries.append(fact("workflow", clean(step.sub_workflow)))
    if step.depends_on:
        names = [run.steps[each].name if each in run.steps else each for each in step.depends_on]
        entries.append(fact("after", clean(", ".join(names))))
    if step.trigger:
        entries.append(fact("runs if", _TRIGGERS.get(step.trigger, clean(step.trigger))))
    entries.append(BLANK)
    if not attempts and not step.items:
        return [*entries, say("It has not started: its input is the shared state at that time.", "muted")]
    if item is None and step.items:
        return [*entries, *_of_items(step)]
    if state is None:
        return [*entries, say("Reading the state as of its start…", "muted")]
    return [*entries, Entry(task_input(run, step, item, state), label="Input", base="$")]


def _of_items(step: StepView) -> list[Entry]:
    what = "worker" if step.workers else "item"
    line = (
        f"{counted(len(step.items), what)}; each gets the shared state and itself: select one for its input."
    )
    if step.workers:
        return [say(line, "muted")]
    return [say(line, "muted"), BLANK, Entry([item.value for item in step.items], label="Items")]


def task_input(
    run: RunView, step: StepView, item: ItemView | None, state: Mapping[str, Any]
) -> dict[str, Any]:
    """The object in `TASK_INPUT`: the state, and what tells an item or worker from the others."""
    given = dict(state)
    if item is None:
        return {**given, **_of_kind(run, step, state)}
    if step.workers:
        return {**given, "worker_id": item.index}
    return {**given, step.item_alias: item.value, "_map_index": item.index}


def _of_kind(run: RunView, step: StepView, state: Mapping[str, Any]) -> dict[str, Any]:
    """What parallel and reduce steps find besides the state."""
    if step.type == "parallel":
        return {"worker_id": 0}
    if step.type != "reduce":
        return {}
    results: list[Any] = []
    errors: list[Any] = []
    for before in run.steps.values():
        if before.id not in step.depends_on or before.type not in ("map", "parallel"):
            continue
        if before.items or f"{before.id}_results" in state:
            results += state.get(f"{before.id}_results") or []
            errors += [{"step": before.id, **each} for each in state.get(f"{before.id}_errors") or ()]
            continue
        members = [each for each in run.steps.values() if each.parent == before.id] or [before]
        results += [each.result if each.status is StepStatus.COMPLETED else None for each in members]
        errors += [
            {"step": each.id, "reason": each.reason, "error": each.error}
            for each in members
            if each.status is StepStatus.FAILED
        ]
    return {"_map_results": results, "_map_errors": errors}
