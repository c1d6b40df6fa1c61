"""A profile as files that other programs draw: Chrome's trace event format, and speedscope's.

Work that is going on at the same time is put on lanes: in a lane nothing overlaps, and what ends makes room.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.metrics.pieces import PARTS
from engine.metrics.profile_records import AttemptProfile, Link, Profile, StepProfile

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_PROCESS = 1
_PATH_LANE = 0

# (begin, end, name, the parts within, what else is known of it)
_Block = tuple[float, float, str, Mapping[str, float], dict[str, Any]]


def chrome_trace(profile: Profile) -> dict[str, Any]:
    """The run as a trace for Perfetto, speedscope or chrome://tracing; times in microseconds."""
    lanes = _lanes(_tasks(profile.steps))
    events = [
        _meta("process_name", f"run {profile.run_id} of {profile.workflow}"),
        _meta("thread_name", "critical path", _PATH_LANE),
        *(_meta("thread_name", f"tasks {number}", number) for number in range(1, len(lanes) + 1)),
    ]
    for lane, blocks in enumerate([_path(profile.path), *lanes]):
        for block in blocks:
            events += _complete(block, lane)
    events += _counters(profile)
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"run": profile.run_id, "workflow": profile.workflow, "status": profile.status},
    }


def speedscope(profile: Profile) -> dict[str, Any]:
    """The run as a speedscope file: one profile for the critical path, one for each lane of tasks."""
    frames: dict[str, int] = {}
    lanes = _lanes(_tasks(profile.steps))
    named = [("critical path", _path(profile.path))]
    named += [(f"tasks {number}", blocks) for number, blocks in enumerate(lanes, 1)]
    profiles = [
        {
            "type": "evented",
            "name": name,
            "unit": "seconds",
            "startValue": 0,
            "endValue": max([profile.duration, *(block[1] for block in blocks)]),
            "events": [event for block in blocks for event in _frames(block, frames)],
        }
        for name, blocks in named
    ]
    return {
        "$schema": SCHEMA,
        "name": f"run {profile.run_id} of {profile.workflow}",
        "exporter": "agentainer",
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": name} for name in frames]},
        "profiles": profiles,
    }


# -- what is drawn ------------------------------------------------------------------------------------


def _tasks(steps: Iterable[StepProfile]) -> list[_Block]:
    """Every attempt at a task; those that are runs themselves are drawn by what they ran."""
    inside = {step.run_id for step in steps}
    return sorted(
        (
            (attempt.begin, attempt.end, _name(step, attempt), attempt.parts, _facts(step, attempt))
            for step in steps
            for attempt in step.attempts
            if attempt.child_run not in inside and attempt.end > attempt.begin
        ),
        key=lambda block: block[:3],
    )


def _path(links: Iterable[Link]) -> list[_Block]:
    return [(link.begin, link.end, link_name(link), link.parts, {"run": link.run_id}) for link in links]


def link_name(link: Link) -> str:
    """A link of the critical path by its step, item and attempt."""
    if link.step_id is None:
        return "the engine"
    item = "" if link.item is None else f"[{link.item}]"
    again = f" #{link.attempt}" if link.attempt is not None and link.attempt > 1 else ""
    return f"{link.step_id}{item}{again}"


def _name(step: StepProfile, attempt: AttemptProfile) -> str:
    item = "" if attempt.item is None else f"[{attempt.item}]"
    return f"{step.id}{item}{f' #{attempt.number}' if attempt.number > 1 else ''}"


def _facts(step: StepProfile, attempt: AttemptProfile) -> dict[str, Any]:
    facts = {
        "run": step.run_id,
        "status": attempt.status,
        "reason": attempt.reason,
        "image": attempt.image,
        "pool": attempt.pool,
        **attempt.usage,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _lanes(blocks: Sequence[_Block]) -> list[list[_Block]]:
    """Blocks in order of their begin, each on the lowest lane that is free."""
    lanes: list[list[_Block]] = []
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for block in blocks:
        while busy and busy[0][0] <= block[0]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(lanes)
        if lane == len(lanes):
            lanes.append([])
        lanes[lane].append(block)
        heapq.heappush(busy, (block[1], lane))
    return lanes


def _within(block: _Block) -> Iterator[tuple[float, float, str]]:
    """The parts of a block one after the other, in the order in which they come about."""
    cursor = block[0]
    # The engine's own work is before and after the rest, and nobody needs to see it as a part.
    for part in PARTS:
        seconds = block[3].get(part, 0.0)
        if part == "other" or seconds <= 0.0:
            continue
        until = min(block[1], cursor + seconds)
        yield cursor, until, part
        cursor = until


# -- Chrome -------------------------------------------------------------------------------------------


def _meta(name: str, value: str, lane: int = 0) -> dict[str, Any]:
    return {"name": name, "ph": "M", "pid": _PROCESS, "tid": lane, "args": {"name": value}}


def _complete(block: _Block, lane: int) -> Iterator[dict[str, Any]]:
    begin, end, name, _, facts = block
    yield {**_span(name, "task", begin, end, lane), "args": facts}
    for start, until, part in _within(block):
        yield _span(part, "phase", start, until, lane)


def _span(name: str, category: str, begin: float, end: float, lane: int) -> dict[str, Any]:
    # Both ends are rounded, not the length: else the last part might end after what it is part of.
    start = round(begin * 1e6)
    span = {"name": name, "cat": category, "ph": "X", "ts": start, "dur": round(end * 1e6) - start}
    return {**span, "pid": _PROCESS, "tid": lane}


def _counters(profile: Profile) -> Iterator[dict[str, Any]]:
    """How many tasks were in progress, and what containers used where they were followed."""
    changes: dict[float, int] = {}
    for begin, end, *_ in _tasks(profile.steps):
        changes[begin] = changes.get(begin, 0) + 1
        changes[end] = changes.get(end, 0) - 1
    count = 0
    for moment in sorted(changes):
        count += changes[moment]
        yield _counter("tasks in progress", moment, {"tasks": count})
    for step in profile.steps:
        for attempt in step.attempts:
            started = attempt.end - attempt.parts.get("run", 0.0) - attempt.parts.get("collect", 0.0)
            for row in (attempt.samples or {}).get("rows", ()):
                name = _name(step, attempt)
                yield _counter(f"CPU of {name}", started + row[0], {"millicores": row[1]})
                yield _counter(f"memory of {name}", started + row[0], {"bytes": row[2]})


def _counter(name: str, moment: float, values: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "ph": "C",
        "ts": round(moment * 1e6),
        "pid": _PROCESS,
        "tid": _PATH_LANE,
        "args": {key: value or 0 for key, value in values.items()},
    }


# -- speedscope ---------------------------------------------------------------------------------------


def _frames(block: _Block, frames: dict[str, int]) -> Iterator[dict[str, Any]]:
    begin, end, name, *_ = block
    outer = frames.setdefault(name, len(frames))
    yield {"type": "O", "frame": outer, "at": begin}
    for start, until, part in _within(block):
        inner = frames.setdefault(part, len(frames))
        yield {"type": "O", "frame": inner, "at": start}
        yield {"type": "C", "frame": inner, "at": until}
    yield {"type": "C", "frame": outer, "at": end}
