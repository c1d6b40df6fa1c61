"""Traces as the descriptions of their formats have them, and as the profile has their times."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from engine.metrics.profile import profile_of
from engine.metrics.profile_records import Profile
from engine.metrics.traces import chrome_trace, speedscope
from tests.unit.metrics.stories import Story
from tests.unit.metrics.test_profile import family, map_story

_NAMED = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}

# What the description of the trace event format asks of the kinds of events that we write.
CHROME = {
    "type": "object",
    "required": ["traceEvents"],
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "otherData": {"type": "object", "additionalProperties": {"type": "string"}},
        "traceEvents": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "ph", "pid", "tid"],
                "properties": {
                    "name": {"type": "string"},
                    "pid": {"type": "integer"},
                    "tid": {"type": "integer"},
                    "ts": {"type": "number"},
                    "dur": {"type": "number", "minimum": 0},
                    "args": {"type": "object"},
                },
                "oneOf": [
                    {"properties": {"ph": {"const": "X"}}, "required": ["ts", "dur", "cat"]},
                    {
                        "properties": {
                            "ph": {"const": "C"},
                            "args": {"additionalProperties": {"type": "number"}, "minProperties": 1},
                        },
                        "required": ["ts", "args"],
                    },
                    {
                        "properties": {
                            "ph": {"const": "M"},
                            "name": {"enum": ["process_name", "thread_name"]},
                            "args": _NAMED,
                        },
                        "required": ["args"],
                    },
                ],
            },
        },
    },
}

# The file format that speedscope publishes, as far as evented profiles go.
SPEEDSCOPE = {
    "type": "object",
    "required": ["$schema", "shared", "profiles"],
    "properties": {
        "$schema": {"const": "https://www.speedscope.app/file-format-schema.json"},
        "name": {"type": "string"},
        "exporter": {"type": "string"},
        "activeProfileIndex": {"type": "integer", "minimum": 0},
        "shared": {
            "type": "object",
            "required": ["frames"],
            "properties": {"frames": {"type": "array", "items": _NAMED}},
        },
        "profiles": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "name", "unit", "startValue", "endValue", "events"],
                "properties": {
                    "type": {"const": "evented"},
                    "name": {"type": "string"},
                    "unit": {
                        "enum": ["none", "nanoseconds", "microseconds", "milliseconds", "seconds", "bytes"]
                    },
                    "startValue": {"type": "number"},
                    "endValue": {"type": "number"},
                    "events": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["type", "frame", "at"],
                            "properties": {
                                "type": {"enum": ["O", "C"]},
                                "frame": {"type": "integer", "minimum": 0},
                                "at": {"type": "number"},
                            },
                            "additionalProperties": False,
                        },
                    },
                },
            },
        },
    },
}


def sampled() -> Profile:
    rows = [[0, 500.0, 1000, 0, 0, 0, 0], [1, 900.0, 3000, 0, 0, 0, None]]
    story = Story([{"id": "a"}])
    over = story.step("a", 1, {"start": 0.5, "run": 3}, samples={"every": 1.0, "rows": rows},
                      usage={"cpu_seconds": 2.5})  # fmt: skip
    return profile_of(story.end(over).all, "r1")


PROFILES = {
    "map": profile_of(map_story([2, 3, 1, 4, 2], at_once=2).all, "r1"),
    "family": profile_of(family(), "r1"),
    "sampled": sampled(),
    "nothing": profile_of(Story([]).all, "r1"),
}
every_profile = pytest.mark.parametrize("found", PROFILES.values(), ids=PROFILES)


@every_profile
def test_a_chrome_trace_is_one_and_nothing_in_a_lane_overlaps(found: Profile) -> None:
    trace = chrome_trace(found)
    jsonschema.validate(trace, CHROME)
    lanes: dict[int, list[dict[str, Any]]] = {}
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            lanes.setdefault(event["tid"], []).append(event)
    for events in lanes.values():
        open_until: list[int] = []
        for event in sorted(events, key=lambda one: (one["ts"], -one["dur"])):
            while open_until and open_until[-1] <= event["ts"]:
                open_until.pop()
            end = event["ts"] + event["dur"]
            assert not open_until or end <= open_until[-1], "it ends after what it is within"
            if event["dur"]:
                open_until.append(end)


@every_profile
def test_a_speedscope_file_is_one_and_its_frames_are_balanced(found: Profile) -> None:
    document = speedscope(found)
    jsonschema.validate(document, SPEEDSCOPE)
    frames = document["shared"]["frames"]
    for one in document["profiles"]:
        open_frames: list[int] = []
        cursor = one["startValue"]
        for event in one["events"]:
            assert cursor - 1e-9 <= event["at"] <= one["endValue"] + 1e-9
            cursor = event["at"]
            assert event["frame"] < len(frames)
            if event["type"] == "O":
                open_frames.append(event["frame"])
            else:
                assert open_frames.pop() == event["frame"]
        assert open_frames == []


def test_times_are_those_of_the_profile() -> None:
    events = chrome_trace(PROFILES["sampled"])["traceEvents"]
    spans = {(one["name"], one["tid"]): (one["ts"], one["dur"]) for one in events if one["ph"] == "X"}
    assert spans["a", 1] == (1_000_000, 3_500_000)
    assert spans["start", 1] == (1_000_000, 500_000)
    assert spans["run", 1] == (1_500_000, 3_000_000)
    counters = [(one["name"], one["ts"], one["args"]) for one in events if one["ph"] == "C"]
    assert ("CPU of a", 2_500_000, {"millicores": 900.0}) in counters
    assert ("memory of a", 1_500_000, {"bytes": 1000}) in counters
    assert ("tasks in progress", 1_000_000, {"tasks": 1}) in counters


def test_each_task_is_drawn_once_and_child_runs_by_what_they_ran() -> None:
    events = chrome_trace(PROFILES["family"])["traceEvents"]
    drawn = sorted(one["name"] for one in events if one.get("cat") == "task" and one["tid"] > 0)
    assert drawn == ["a", "u", "v", "z"]


def test_lanes_are_as_many_as_tasks_were_at_a_time() -> None:
    found = PROFILES["map"]
    names = [one["name"] for one in speedscope(found)["profiles"]]
    assert names == ["critical path", "tasks 1", "tasks 2"]
    assert found.parallelism.peak == 2
