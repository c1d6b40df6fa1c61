"""What is different since the last run of a workflow that went well: where a search for the reason begins."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentainer_tui.text import brief, counted
from agentainer_tui.views import AttemptView, ItemView, RunView, StepView
from engine.events import StepStatus

# Results of steps before, and lines of a diff, that are told at most.
_RESULTS = 8
_DIFF = 400
_ONE = 120


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different: what, as it was, as it is; for a text the lines of a diff.

    Attributes:
        what: `document`, `param limit`, `image`, `result of get`, …
        before, after: one line each; "" where there was nothing.
        diff: of a text, as `diff -u` without its head.
    """

    what: str
    before: str = ""
    after: str = ""
    diff: tuple[str, ...] = ()


def changes_since(
    good: RunView, bad: RunView, step_id: str, documents: tuple[str, str] | None = None
) -> list[Change]:
    """What differs between a run that went well and one that failed, as far as a step depends on it.

    Args:
        good: the run that went well.
        bad: the one that failed.
        step_id: the step that failed.
        documents: the texts of the two documents, if they are another.
    """
    return [
        *_document(documents),
        *_mapping("param", good.params, bad.params),
        *_one("backend", good.backend, bad.backend),
        *_step(good, bad, step_id),
        *_upstream(good, bad, step_id),
    ]


def took(step: StepView | ItemView | None) -> float | None:
    """Seconds from the start to the end; None as long as one is missing."""
    if step is None or step.started_at is None or step.finished_at is None:
        return None
    return max(0.0, step.finished_at - step.started_at)


def upstream_of(view: RunView, step_id: str) -> list[StepView]:
    """All steps that a step comes after, near ones first."""
    found: dict[str, StepView] = {}
    wanted = [step_id]
    for each in wanted:  # grows while it is gone through
        step = view.steps.get(each)
        for before in step.depends_on if step is not None else ():
            if before not in found and before in view.steps:
                found[before] = view.steps[before]
                wanted.append(before)
    return list(found.values())


def _document(documents: tuple[str, str] | None) -> Iterator[Change]:
    if documents is None or documents[0] == documents[1]:
        return
    old, new = (text.splitlines() for text in documents)
    lines = list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]
    added = sum(line.startswith("+") for line in lines)
    removed = sum(line.startswith("-") for line in lines)
    yield Change(
        "document", after=f"{counted(added, 'line')} added, {removed} removed", diff=tuple(lines[:_DIFF])
    )


def _step(good: RunView, bad: RunView, step_id: str) -> Iterator[Change]:
    before, now = good.steps.get(step_id), bad.steps.get(step_id)
    if now is None:
        return
    if before is None:
        yield Change("step", "", "it was not in the workflow then")
        return
    made_before, made_now = _last(before), _last(now)
    images = made_before.image or before.image, made_now.image or now.image
    yield from _one("image", *images)
    if images[0] == images[1] and made_before.image_id and made_now.image_id:
        yield from _one("content of the image", _short(made_before.image_id), _short(made_now.image_id))
    yield from _one("command", before.command, now.command)
    yield from _agent(before, now)
    yield from _mapping("variable", made_before.env, made_now.env)
    yield from _one("tries allowed", str(before.max_attempts or ""), str(now.max_attempts or ""))
    if before.items and now.items and not now.workers and len(before.items) != len(now.items):
        yield Change("items", str(len(before.items)), str(len(now.items)))


def _upstream(good: RunView, bad: RunView, step_id: str) -> Iterator[Change]:
    number = 0
    for step in upstream_of(bad, step_id):
        before = good.steps.get(step.id)
        if before is None or before.status != step.status:
            yield Change(f"step {step.id}", before.status if before else "not there", step.status)
        elif step.status is StepStatus.COMPLETED and before.result != step.result and number < _RESULTS:
            number += 1
            yield Change(
                f"result of {step.id}", brief(before.result, limit=_ONE), brief(step.result, limit=_ONE)
            )


def _mapping(noun: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key) or (key in old) != (key in new):
            before, after = (brief(side[key], limit=_ONE) if key in side else "" for side in (old, new))
            yield Change(f"{noun} {key}", before, after)


def _one(what: str, before: str, after: str) -> Iterator[Change]:
    if before != after:
        yield Change(what, before, after)


def _agent(before: StepView, now: StepView) -> Iterator[Change]:
    """What agents are made with, as the document says: variables, limits, mounts, user."""
    old, new = dict(before.agent), dict(now.agent)
    yield from _mapping("variable", old.pop("env", {}), new.pop("env", {}))
    yield from _mapping("limit", old.pop("limits", {}), new.pop("limits", {}))
    yield from _mapping("setting", old, new)


def _last(step: StepView) -> AttemptView:
    """The last try of a step, or of its last item that has one."""
    tries = (each for item in reversed(step.items) for each in reversed(item.attempts))
    return step.attempts[-1] if step.attempts else next(tries, AttemptView(0))


def _short(image_id: str) -> str:
    """As `docker images` writes it."""
    return image_id.removeprefix("sha256:")[:12]
