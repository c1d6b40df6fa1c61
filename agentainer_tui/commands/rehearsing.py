"""`run --dry-run`: what a run would do, as far as that is known before it begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agentainer_tui.commands.console import err, out, print_json, print_table
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.narration import label
from agentainer_tui.explain import SECTIONS
from agentainer_tui.text import brief, clean, counted
from engine.errors import DocumentError, InputError
from engine.facade import RunPreview, preview_run

if TYPE_CHECKING:
    from engine.facade import Doubt, Plan, Settings, StepPreview, Template

_NAMES_SHOWN = 4


def rehearse(settings: Settings, plan: Plan, params: Mapping[str, Any], *, as_json: bool) -> int:
    """Print what a run of `plan` would do; 2 if it would be refused, else 0."""
    preview = run_async(preview_run(settings, plan, params))
    for note in preview.notes:
        err.line(f"agentainer: {note}")
    for problem in preview.problems:
        err.line(str(problem))
    if as_json:
        print_json(_document(preview))
    else:
        _print(preview)
    return DocumentError.exit_code if preview.problems else 0


def _print(preview: RunPreview) -> None:
    plan = preview.plan
    backend = f", backend {preview.backend}" if preview.backend else ""
    out.line(f"{clean(plan.workflow)}: {counted(len(plan.steps), 'step')}{backend}; a dry run, nothing runs")
    for name, value in preview.params.items():
        out.line(f"  {clean(name)}={brief(value, limit=100)}")
    for role, steps in _by_role(preview).items():
        out.line(f"\n{SECTIONS[role]}:" if role in SECTIONS else "")
        rows = (row for one in steps for row in _rows(one, preview.params))
        print_table(("STAGE", "STEP", "WOULD", "DETAILS"), rows, status=2, widest=40)


def _by_role(preview: RunPreview) -> dict[str, list[StepPreview]]:
    found: dict[str, list[StepPreview]] = {}
    for one in preview.steps:
        found.setdefault(one.step.role.value, []).append(one)
    return found


def _rows(
    one: StepPreview, params: Mapping[str, Any] | None, indent: str = "", stages: str = ""
) -> Iterator[tuple[str, str, str, str]]:
    """The row of a step, and those of the runs that it is."""
    indent += "  " if one.step.parent else ""
    stage = f"{stages}{one.stage}"
    details = [*_why(one), *_what(one, params)]
    if stages and (role := one.step.role.value) in SECTIONS:
        details = [SECTIONS[role], *details]
    yield stage, indent + label(one.step.id, None), one.would, "; ".join(details)
    for child in one.children:
        if child.choice is not None or child.steps is None:
            why = f"if it chooses {clean(child.choice)}" if child.choice is not None else ""
            left = "its steps are left out, there are too many" if child.steps is None else ""
            words = [f"workflow {clean(child.workflow)}", why, left]
            yield stage, f"{indent}  …", "", "; ".join(word for word in words if word)
        for step in child.steps or ():
            yield from _rows(step, None, f"{indent}  ", f"{stage}.")


def _why(one: StepPreview) -> Iterator[str]:
    """Why it would, would not, or may."""
    now = "as of now: " if one.as_of_now else ""
    if one.would == "depends":
        yield " and ".join(_doubt(doubt, one) for doubt in one.depends)
    elif one.would == "run":
        if one.as_of_now:
            yield "as of now"
    else:
        yield f"{now}{clean(one.text or one.reason or '')}"


def _doubt(doubt: Doubt, one: StepPreview) -> str:
    whose = "its" if doubt.step_id == one.step.id else f"{label(doubt.step_id, None)}'s"
    what = f"{whose} choice" if doubt.is_choice else f"{whose} condition"
    reads = ", ".join(clean(path, limit=60) for path in doubt.reads[:_NAMES_SHOWN])
    return f"on {what}" + (f" (reads {reads}, not known yet)" if reads else "")


def _what(one: StepPreview, params: Mapping[str, Any] | None) -> Iterator[str]:
    """What it is; `params` are those of its run, None where they are not known."""
    step = one.step
    if step.route is not None:
        yield _choice(one)
    if step.approval is not None:
        yield "waits for approval"
    if step.delay is not None:
        yield f"waits {step.delay:g}s"
    if (number := _number(one)) is not None:
        yield number
    if step.sub is not None:
        yield f"workflow {clean(step.sub.name)}"
    if step.task is not None and step.task.image is not None:
        yield f"image {clean(_rendered(step.task.image, params), limit=60)}"
    if step.depends_on:
        names = [label(name, None) for name in step.depends_on[:_NAMES_SHOWN]]
        more = len(step.depends_on) - len(names)
        yield f"after {', '.join(names)}" + (f" and {more} more" if more > 0 else "")
    if step.trigger is not None:
        yield f"trigger {step.trigger.value}"
    if step.retry.max_attempts > 1:
        yield f"up to {step.retry.max_attempts} tries"
    if step.timeout is not None:
        yield f"timeout {step.timeout:g}s"
    if step.cache is not None:
        yield "may take a remembered result"


def _rendered(template: Template, params: Mapping[str, Any] | None) -> str:
    """The text, if params are all it needs; else as it is written."""
    if params is None:
        return template.source
    try:
        return template.render({"params": params})
    except InputError:
        return template.source


def _choice(one: StepPreview) -> str:
    assert one.step.route is not None, "asked of decisions and branches only"
    ways = ", ".join(clean(way.label) for way in one.step.route.ways)
    if one.choice is None:
        return f"chooses one of {ways}"
    return f"chooses {clean(one.choice)}{' as of now' if one.choice_as_of_now else ''} (of {ways})"


def _number(one: StepPreview) -> str | None:
    step = one.step
    if step.map is None and step.workers_path is None and step.workers <= 1:
        return None
    noun = "item" if step.map is not None else "worker"
    if one.items is None:
        return f"{noun}s not known yet"
    return counted(one.items, noun) + (" as of now" if one.items_as_of_now else "")


def _document(preview: RunPreview) -> dict[str, Any]:
    """The document of `run --dry-run --json`."""
    plan = preview.plan
    return {
        "workflow": plan.workflow,
        "path": plan.path,
        "backend": preview.backend or None,
        "params": dict(preview.params),
        "steps": [_step(one) for one in preview.steps],
        "problems": [str(problem) for problem in preview.problems],
        "notes": list(preview.notes),
    }


def _step(one: StepPreview) -> dict[str, Any]:
    step = one.step
    return {
        "id": step.id,
        "name": step.name,
        "type": step.type.value,
        "role": step.role.value,
        "stage": one.stage,
        "depends_on": list(step.depends_on),
        "parent": step.parent,
        "would": one.would,
        "reason": one.reason.value if one.reason else None,
        "why": one.text or None,
        "as_of_now": one.as_of_now,
        "depends": [
            {
                "step": doubt.step_id,
                "on": "choice" if doubt.is_choice else "condition",
                "reads": list(doubt.reads),
            }
            for doubt in one.depends
        ],
        "choice": one.choice,
        "choice_as_of_now": one.choice_as_of_now,
        "choices": [way.label for way in step.route.ways] if step.route is not None else None,
        "items": one.items,
        "items_as_of_now": one.items_as_of_now,
        "workflow": step.sub.name if step.sub is not None else None,
        "image": step.task.image.source if step.task and step.task.image else None,
        "max_attempts": step.retry.max_attempts,
        "timeout": step.timeout,
        "children": [
            {
                "workflow": child.workflow,
                "choice": child.choice,
                "steps": None if child.steps is None else [_step(inner) for inner in child.steps],
            }
            for child in one.children
        ],
    }
