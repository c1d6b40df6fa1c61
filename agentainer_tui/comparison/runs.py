"""What differs between two runs: the run itself, its params, document and state, and step by step."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentainer_tui.comparison.pairing import Pair, pair_steps
from agentainer_tui.inspector.state_change import is_same
from agentainer_tui.views import AttemptView, ItemView, RunView, StepView, elapsed

# Items of a map that are compared one by one, and lines of a document's diff.
_ITEMS = 1_000
_LINES = 5_000
# A difference of time that is worth a word: this many seconds, and this part of the longer one.
_WORTH, _PART = 0.2, 0.1


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing on both sides, as JSON; None where it is not there.

    `kind` is `measured` for what is never the same twice (times, memory) and no difference by itself,
    `diff` for a text whose differing lines are in `lines`; else empty.
    """

    name: str
    before: Any
    after: Any
    kind: str = ""
    lines: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether the two sides say different things."""
        return bool(self.lines) if self.kind == "diff" else not is_same(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a comparison: the run, its params, document or state, or a pair of steps.

    Attributes:
        key: unique; of a step `step:<id>`.
        name: what it is about.
        mark: `=`, `~` where something differs, `+` only in the second, `-` only in the first run.
        facts: everything that was compared.
        status: on both sides; "" where there is none.
        took: seconds on both sides.
        depth: how far the name is moved in.
    """

    key: str
    name: str
    mark: str
    facts: tuple[Fact, ...]
    status: tuple[str, str] = ("", "")
    took: tuple[float | None, float | None] = (None, None)
    depth: int = 0

    @property
    def delta(self) -> float | None:
        """How many seconds longer the second took; None if one side did not take any time."""
        before, after = self.took
        return None if before is None or after is None else after - before

    @property
    def is_telling(self) -> bool:
        """Whether it is different, or took noticeably longer or less."""
        return self.mark != "=" or is_worth_a_word(*self.took)

    @property
    def differences(self) -> tuple[Fact, ...]:
        """The facts that are not the same, without what is only measured."""
        return tuple(fact for fact in self.facts if fact.kind != "measured" and fact.differs)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs; `before` is the first, `after` the second."""

    before: RunView
    after: RunView
    rows: tuple[Row, ...]

    @property
    def differing(self) -> tuple[Row, ...]:
        """The rows that are not the same."""
        return tuple(row for row in self.rows if row.mark != "=")

    @property
    def telling(self) -> tuple[Row, ...]:
        """The rows that are different, or took noticeably longer or less."""
        return tuple(row for row in self.rows if row.is_telling)

    @property
    def widest_delta(self) -> float:
        """The largest difference in time of a step, in seconds: the scale of their bars."""
        return max((abs(row.delta or 0.0) for row in self.rows), default=0.0)


def is_worth_a_word(before: float | None, after: float | None) -> bool:
    """Whether two times are different enough to be no accident."""
    if before is None or after is None:
        return False
    change = abs(after - before)
    return change >= _WORTH and change >= _PART * max(before, after)


def compare(
    before: RunView,
    after: RunView,
    *,
    documents: tuple[str, str] | None = None,
    plan: tuple[str, ...] = (),
    now: float = 0.0,
) -> Comparison:
    """Compare two runs.

    Args:
        before: the first one.
        after: the second one.
        documents: the texts of their documents, if these are different.
        plan: what is different in the plan, in words.
        now: the time until which what still runs has taken its time.
    """
    rows = [
        _run_row(before, after, now),
        _row("params", "Params", _mapping(before.params, after.params)),
        _row("document", "Document", _document(before, after, documents, plan)),
        _row("state", "State", _mapping(_state(before), _state(after))),
        *(_step_row(pair, before, after, now) for pair in pair_steps(before.steps, after.steps)),
    ]
    return Comparison(before, after, tuple(row for row in rows if row.facts))


def _row(key: str, name: str, facts: Iterator[Fact], **more: Any) -> Row:
    found = tuple(facts)
    differs = any(fact.differs and fact.kind != "measured" for fact in found)
    return Row(key, name, more.pop("mark", "~" if differs else "="), found, **more)


# -- the run ------------------------------------------------------------------------------------------


def _run_row(before: RunView, after: RunView, now: float) -> Row:
    times = (_run_took(before, now), _run_took(after, now))
    return _row("run", "Run", _run_facts(before, after, times), status=_statuses(before, after), took=times)


def _run_took(run: RunView, now: float) -> float | None:
    return elapsed(run.begun_at, run.finished_at, now)


def _run_facts(before: RunView, after: RunView, times: tuple[float | None, float | None]) -> Iterator[Fact]:
    yield Fact("workflow", before.workflow, after.workflow)
    yield Fact("status", before.status.value, after.status.value)
    yield from _ends(before, after)
    yield Fact("backend", before.backend, after.backend)
    yield from _given(("metadata", dict(before.metadata), dict(after.metadata)))
    yield Fact("duration", *times, kind="measured")
    totals = _totals(before), _totals(after)
    for name in totals[0]:
        if any(total[name] is not None for total in totals):
            yield Fact(name, totals[0][name], totals[1][name], kind="measured")


def _totals(run: RunView) -> dict[str, float | None]:
    """What a run took: tries, and what its agents used as far as that was measured."""
    units: list[StepView | ItemView] = []
    for step in run.steps.values():
        units += [step, *step.items]
    attempts = [attempt for unit in units for attempt in unit.attempts if not attempt.child_run]
    usages = [attempt.usage for attempt in attempts]
    return {
        "tries": len(attempts),
        "repeated tries": sum(max(0, len(unit.attempts) - 1) for unit in units),
        "taken over": sum(unit.reused for unit in units) or None,
        "CPU seconds": _sum(usages, "cpu_seconds"),
        "memory at most": max(
            (usage["memory_peak"] for usage in usages if usage.get("memory_peak")), default=None
        ),
        "bytes received": _sum(usages, "network_in"),
        "bytes sent": _sum(usages, "network_out"),
    }


def _sum(usages: list[Mapping[str, Any]], name: str) -> float | None:
    found = [usage[name] for usage in usages if usage.get(name) is not None]
    return round(sum(found), 3) if found else None


def _document(
    before: RunView, after: RunView, documents: tuple[str, str] | None, plan: tuple[str, ...]
) -> Iterator[Fact]:
    yield Fact("file", before.path, after.path)
    if documents is None:
        yield Fact("digest", before.digest, after.digest)
    if plan:
        yield Fact("plan", before.digest, after.digest, kind="diff", lines=plan)
    if documents is not None:
        old, new = (text.splitlines() for text in documents)
        lines = list(difflib.unified_diff(old, new, lineterm="", n=3))[2:]
        yield Fact("text", before.digest, after.digest, kind="diff", lines=tuple(lines[:_LINES]))


def _mapping(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Fact]:
    for name in dict.fromkeys((*before, *after)):
        yield Fact(name, before.get(name), after.get(name))


def _state(run: RunView) -> dict[str, Any]:
    """The state at the end, without the params, which have a row of their own."""
    return {name: value for name, value in run.state.items() if name != "params" or value != run.params}


# -- steps --------------------------------------------------------------------------------------------


def _step_row(pair: Pair, first: RunView, second: RunView, now: float) -> Row:
    step = pair.after or pair.before
    run = second if pair.after is not None else first
    assert step is not None
    depth = 0
    parent = step.parent
    while parent is not None and parent in run.steps and depth < len(run.steps):
        depth, parent = depth + 1, run.steps[parent].parent
    mark = {"mark": "-" if pair.after is None else "+"} if None in pair else {}
    return _row(
        f"step:{step.id}",
        step.name,
        _step_facts(pair.before, pair.after),
        status=_statuses(pair.before, pair.after),
        took=(_step_took(pair.before, now), _step_took(pair.after, now)),
        depth=depth,
        **mark,
    )


def _step_took(step: StepView | None, now: float) -> float | None:
    return None if step is None else elapsed(step.started_at, step.finished_at, now)


def _statuses(before: Any, after: Any) -> tuple[str, str]:
    return (
        "" if before is None else before.status.value,
        "" if after is None else after.status.value,
    )


def _ends(before: Any, after: Any) -> Iterator[Fact]:
    """How both ended, as far as that is told."""
    yield from _given(
        *((name, getattr(before, name, None) or None, getattr(after, name, None) or None)
          for name in ("reason", "error"))
    )  # fmt: skip


def _given(*facts: tuple[str, Any, Any]) -> Iterator[Fact]:
    """The facts that at least one side has."""
    for name, before, after in facts:
        if before not in (None, "", {}, [], ()) or after not in (None, "", {}, [], ()):
            yield Fact(name, before, after)


def _step_facts(before: StepView | None, after: StepView | None) -> Iterator[Fact]:
    statuses = [None if step is None else step.status.value for step in (before, after)]
    yield Fact("status", statuses[0], statuses[1])
    if before is not None and after is not None and before.id != after.id:
        yield Fact("id", before.id, after.id)
    yield from _ends(before, after)
    yield from _given(*((name, read(before), read(after)) for name, read in _STEP_FACTS.items()))
    yield from _items(before, after)
    for name in ("queue", "image", "create", "start", "run", "collect"):
        times = _phase(before, name), _phase(after, name)
        if any(time is not None for time in times):
            yield Fact(f"time: {name}", *times, kind="measured")


def _last(step: StepView | None) -> AttemptView | None:
    """The last try of a step, or of its first item: these are made of the same."""
    if step is None:
        return None
    units: list[StepView | ItemView] = [step, *step.items]
    return next((unit.attempts[-1] for unit in units if unit.attempts), None)


def _phase(step: StepView | None, name: str) -> float | None:
    attempt = _last(step)
    return None if attempt is None else attempt.phases.get(name)


def _image(step: StepView | None) -> Any:
    attempt = _last(step)
    return (attempt.image if attempt is not None else "") or (step.image if step is not None else None)


def _image_id(step: StepView | None) -> Any:
    attempt = _last(step)
    return attempt.image_id if attempt is not None else None


def _env(step: StepView | None) -> Any:
    if step is None:
        return None
    attempt = _last(step)
    return {**(step.agent.get("env") or {}), **(attempt.env if attempt is not None else {})}


def _made_with(step: StepView | None) -> Any:
    return None if step is None else {name: value for name, value in step.agent.items() if name != "env"}


def _tries(step: StepView | None) -> Any:
    if step is None:
        return None
    return len(step.attempts) or sum(len(item.attempts) for item in step.items) or None


def _set(step: StepView) -> dict[str, Any]:
    """What it set in the state, without what is its result again."""
    result = step.result if isinstance(step.result, dict) else {}
    changes: dict[str, Any] = step.changes.get("set") or {}
    return {
        name: value
        for name, value in changes.items()
        if not (name in result and is_same(result[name], value)) and not is_same(step.result, value)
    }


_STEP_FACTS: Mapping[str, Any] = {
    "exit code": lambda step: step and step.exit_code,
    "tries": _tries,
    "taken over": lambda step: step and (step.reused or None),
    "type": lambda step: step and step.type,
    "image": _image,
    "image id": _image_id,
    "command": lambda step: step and step.command,
    "workflow": lambda step: step and step.sub_workflow,
    "after": lambda step: step and list(step.depends_on),
    "tries allowed": lambda step: step and (step.max_attempts or None),
    "variables": _env,
    "made with": _made_with,
    "result": lambda step: step and step.result,
    "set in the state": lambda step: step and _set(step),
    "removed from it": lambda step: step and list(step.changes.get("removed") or ()),
    "artifacts": lambda step: step and {each.name: each.size for each in step.artifacts},
}


def _items(before: StepView | None, after: StepView | None) -> Iterator[Fact]:
    """The items of both sides: how many, and those that are not the same."""
    sides = before.items if before is not None else (), after.items if after is not None else ()
    if not any(sides):
        return
    yield Fact("items", len(sides[0]), len(sides[1]))
    for place in range(min(max(map(len, sides)), _ITEMS)):
        one, other = (_item(side[place]) if place < len(side) else None for side in sides)
        if not is_same(one, other):
            yield Fact(f"item {place}", one, other)


def _item(item: ItemView) -> dict[str, Any]:
    found: dict[str, Any] = {"value": item.value, "status": item.status.value}
    for name in ("reason", "error", "exit_code", "result"):
        if (value := getattr(item, name)) not in (None, ""):
            found[name] = value
    if len(item.attempts) > 1:
        found["tries"] = len(item.attempts)
    return found
