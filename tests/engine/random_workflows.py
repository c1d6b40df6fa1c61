"""Random workflows of every kind of step, and an oracle of its own that says who may run in them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.errors import BackendError, Reason
from engine.history.records import RunDetail, StepRecord

FLAGS = ("a", "b", "c", "d")
TRIGGERS = (None, None, None, "all_success", "all_done", "one_success", "none_failed")
_BAD = ("failed", "cancelled")

Step = dict[str, Any]


@st.composite
def documents(draw: st.DrawFn, depth: int = 0) -> Step:
    """A workflow, as the mapping that its document holds."""
    steps: list[Step] = []
    count = draw(st.integers(1, 8 if depth == 0 else 3))
    for place in range(count):
        steps.append(draw(_step(f"s{place}", steps, depth)))
    for place, step in enumerate(steps):
        _route(draw, step, [later["id"] for later in steps[place + 1 :]])
    document: Step = {
        "name": "random",
        "config": {
            "failure_strategy": draw(st.sampled_from(["fail_fast", "continue"])),
            "cleanup_policy": draw(st.sampled_from(["always", "on_success", "never"])),
            "max_parallel": draw(st.sampled_from([0, 1, 2])),
            "timeout": draw(st.sampled_from(["15s", "1h", "1h"])),
            "finally_timeout": draw(st.sampled_from(["2s", "10m"])),
        },
        "state": {"list": [1, 2, 3, 4], **{flag: draw(st.booleans()) for flag in FLAGS}},
        "steps": steps,
    }
    for role, prefix in (("on_failure", "f"), ("finally", "z")):
        handlers = [draw(_task(f"{prefix}{place}")) for place in range(draw(st.integers(0, 2)))]
        if handlers:
            document[role] = handlers
    return document


@st.composite
def _task(draw: st.DrawFn, name: str) -> Step:
    return {
        "id": name,
        "command": ["x"],
        "timeout": draw(st.sampled_from(["4s", "60s"])),
        "retry_policy": {
            "max_attempts": draw(st.integers(1, 3)),
            "backoff": draw(st.sampled_from(["constant", "linear", "exponential"])),
            "delay": "2s",
            "jitter": draw(st.sampled_from(["none", "full", "equal"])),
        },
    }


@st.composite
def _step(draw: st.DrawFn, name: str, before: Sequence[Step], depth: int) -> Step:
    kinds = [
        "task",
        "task",
        "task",
        "map",
        "workers",
        "dynamic",
        "members",
        "decision",
        "branch",
        "approval",
        "delay",
    ]
    kind = draw(st.sampled_from([*kinds, "child"] if depth == 0 else kinds))
    step: Step = {"id": name}
    if kind in ("task", "map", "workers", "dynamic"):
        step = draw(_task(name))
    match kind:
        case "map":
            step |= {"type": "map", "map_config": draw(_map())}
        case "workers":
            step |= {"type": "parallel", "max_workers": draw(st.integers(2, 4))}
        case "dynamic":
            step |= {"type": "parallel", "workers_path": "$.list"}
        case "members":
            members = [draw(_task(f"{name}m{place}")) for place in range(draw(st.integers(1, 3)))]
            step |= {"type": "parallel", "steps": members}
        case "decision" | "branch":
            step["type"] = kind
        case "approval":
            default = draw(st.sampled_from([{}, {"default": "approve"}, {"default": "reject"}]))
            step |= {"type": "approval", "approval": {"message": "?", **default}, "timeout": "5s"}
        case "delay":
            step |= {"type": "delay", "delay": draw(st.sampled_from(["0s", "1s", "3s"]))}
        case "child":
            step |= {"type": "subworkflow", "workflow": draw(documents(depth=depth + 1))}
            step["outputs"] = draw(st.sampled_from(["merge", "step"]))
    names = [other["id"] for other in before]
    step["depends_on"] = draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) if names else []
    if trigger := draw(st.sampled_from(TRIGGERS)):
        step["trigger"] = trigger
    if draw(st.integers(0, 5)) == 0:
        step["condition"] = _condition(draw(st.sampled_from(FLAGS)))
    if draw(st.integers(0, 5)) == 0:
        step["failure_strategy"] = draw(st.sampled_from(["fail_fast", "continue"]))
    return step


@st.composite
def _map(draw: st.DrawFn) -> Step:
    return {
        "input_path": "list",
        "max_concurrency": draw(st.integers(0, 2)),
        "error_handling": draw(st.sampled_from(["fail_fast", "continue_on_error"])),
        "batch_size": draw(st.sampled_from([1, 1, 3])),
        **draw(st.sampled_from([{}, {"tolerated_failure_count": 1}, {"tolerated_failure_percentage": 50}])),
    }


def _condition(flag: str) -> Step:
    return {"field": f"$.{flag}", "operator": "eq", "value": True}


def _route(draw: st.DrawFn, step: Step, later: Sequence[str]) -> None:
    """Give a decision or branch its ways; one that has nothing behind it becomes a task."""
    if step.get("type") not in ("decision", "branch"):
        return
    if not later:
        step.pop("type")
        step["command"] = ["x"]
        return
    if step["type"] == "branch":
        ways = st.lists(st.sampled_from(later), min_size=1, max_size=2, unique=True)
        step["branch_config"] = {
            "condition": _condition(draw(st.sampled_from(FLAGS))),
            "true_steps": draw(ways),
            "false_steps": draw(ways),
        }
        return
    flags = draw(st.lists(st.sampled_from(FLAGS), min_size=1, max_size=3, unique=True))
    step["decision_node"] = {
        "choices": [{"condition": _condition(flag), "next": draw(st.sampled_from(later))} for flag in flags],
        **({"default": draw(st.sampled_from(later))} if draw(st.booleans()) else {}),
    }


def behaviour(seed: int, spec: AgentSpec) -> Script:
    """What an agent does: the same one always does the same."""
    who = spec.identity
    rng = random.Random(f"{seed}/{who.step_id}/{who.item}/{who.attempt}")
    infra = BackendError(Reason.INFRA_ERROR, "the daemon did not answer", transient=True)
    choice = rng.random()
    if choice < 0.15:
        return Script(exit_code=rng.choice([1, 7, 137]), delay=rng.random() * 3)
    if choice < 0.2:
        return Script(delay=None, ignores_term=rng.random() < 0.5)
    if choice < 0.25:
        return Script(lost_after=rng.random())
    if choice < 0.35:
        fault = rng.choice(["prepare_error", "create_error", "start_error"])
        return Script(**{fault: infra, "error_times": rng.randint(1, 5)})  # type: ignore[arg-type]
    return Script(
        delay=rng.random() * 3,
        stdout=rng.choice(["", '{"said": 1}', "[1, 2]", "words"]),
        prepare_delay=rng.random() * 0.2,
        create_delay=rng.random() * 0.2,
        start_delay=rng.random() * 0.2,
    )


def expected_skip(step: Step, records: Mapping[str, StepRecord], document: Step) -> str | None:
    """Why a step of a run that nothing stopped must be skipped, None if it must run. Handlers are not asked.

    Written from the rules in the documentation, not from the engine's code.
    """
    step_id = step["id"]
    routers = [other["id"] for other in document["steps"] if step_id in targets_of(other)]
    chosen = [name for name in routers if step_id in _taken(records[name])]
    if routers and not chosen:
        broken = any(_is_broken(records[name]) for name in routers)
        return "upstream_failed" if broken else "branch_not_taken"
    upstreams = [records[name] for name in step.get("depends_on", []) if name not in routers]
    skip = _by_trigger(step.get("trigger"), upstreams, document, chosen=bool(chosen))
    if skip is None and "condition" in step and not document["state"][step["condition"]["field"][2:]]:
        return "condition_false"
    return skip


def _by_trigger(
    trigger: str | None, upstreams: Sequence[StepRecord], document: Step, *, chosen: bool
) -> str | None:
    broken = any(_is_broken(record) for record in upstreams)
    completed = any(record.status == "completed" for record in upstreams)
    skipped = [record.reason for record in upstreams if record.status == "skipped"]
    match trigger:
        case "all_done":
            return None
        case "all_success":
            return "upstream_failed" if broken else skipped[0] if skipped else None
        case "one_success":
            if completed or not upstreams:
                return None
            return "upstream_failed" if broken else skipped[0] if skipped else None
        case "none_failed":
            return "upstream_failed" if broken else None
    if any(_is_broken(record) and not _tolerated(record, document) for record in upstreams):
        return "upstream_failed"
    tolerated = any(record.status == "failed" for record in upstreams)
    if "branch_not_taken" in skipped and not (chosen or completed or tolerated):
        return "branch_not_taken"
    return None


def targets_of(step: Step) -> set[str]:
    """The steps that a decision or branch may choose."""
    decision, branch = step.get("decision_node"), step.get("branch_config")
    if decision:
        return {choice["next"] for choice in decision["choices"]} | {decision.get("default")} - {None}
    return {*branch["true_steps"], *branch["false_steps"]} if branch else set()


def strategy_of(step: Step, document: Step) -> str:
    """What a step's failure does to its run."""
    return str(step.get("failure_strategy", document["config"]["failure_strategy"]))


def _taken(record: StepRecord) -> list[str]:
    return list(record.result["next"]) if record.status == "completed" else []


def _is_broken(record: StepRecord) -> bool:
    return record.status in _BAD or record.reason == "upstream_failed"


def _tolerated(record: StepRecord, document: Step) -> bool:
    step = next(step for step in document["steps"] if step["id"] == record.id)
    return record.status == "failed" and strategy_of(step, document) == "continue"


def nothing_stopped(document: Step, detail: RunDetail) -> bool:
    """Whether the run's own steps had their way: not cancelled, not timed out, no failure that stops."""
    if any(record.status == "cancelled" for record in detail.steps):
        return False
    stopping = {step["id"] for step in document["steps"] if strategy_of(step, document) == "fail_fast"}
    return not any(record.status == "failed" and record.id in stopping for record in detail.steps)


def as_text(document: Step) -> str:
    """The document as JSON, which is YAML too."""
    return json.dumps(document)
