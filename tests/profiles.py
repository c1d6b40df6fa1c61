"""Profiles of made-up runs, as the engine makes them of events."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.events import Event
from engine.metrics.profile import profile_of
from engine.metrics.profile_records import Surroundings
from engine.profiling import Profile
from tests.fabricated import Fabricator

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)


def events_of(workflow: str, *, seed: int = 7) -> list[Event]:
    """The events of the first run of a workflow that completes, numbered."""
    for events in Fabricator(seed, NOW).runs(200):
        if events[0].data["workflow"] == workflow and events[-1].data.get("status") == "completed":
            return [event._replace(seq=number) for number, event in enumerate(events, 1)]
    raise AssertionError(f"no run of {workflow} completes")


def profile(workflow: str = "nightly-etl") -> Profile:
    """The profile of such a run, with samples of its containers."""
    events = events_of(workflow)
    return profile_of(events, events[0].run_id, Surroundings(max_tasks=4, cpus=2))


def live_profile(workflow: str = "nightly-etl") -> Profile:
    """The profile of such a run in its middle."""
    events = events_of(workflow)
    half = events[: len(events) // 2]
    now = half[-1].time.timestamp() + 5
    return profile_of(half, half[0].run_id, Surroundings(max_tasks=4, cpus=2), now=now)
