"""What held a run up, with the numbers that say so; what to do about it is in `advice`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.metrics.advice import (
    advise_images,
    advise_retries,
    advise_room,
    advise_starts,
    advise_usage,
    cache_advice,
    memory_to_spare,
)
from engine.metrics.figures_of_attempts import CPU_SHARE, MEMORY_SHARE, Use, uses
from engine.metrics.profile_records import (
    AttemptProfile,
    Bottleneck,
    Profile,
    Recommendation,
    StepProfile,
    Surroundings,
)
from engine.metrics.wording import percent, seconds

# Less than this is not worth anybody's time: a share of the run, and seconds.
_SHARE = 0.1
_SECONDS = 0.5
# Starting up is a matter of many tasks: it is looked at above this share.
_STARTING_SHARE = 0.2
_STARTING = ("create", "start")
_STRAGGLER = 2.0
_FEWEST_ITEMS = 3
_BUSY_DISK = 20e6  # bytes a second
_BUSY_MACHINE = 0.85

Finding = tuple[Bottleneck | None, Recommendation | None]


def find_bottlenecks(profile: Profile, surroundings: Surroundings) -> Profile:
    """The profile with its bottlenecks, the largest first, and what to do about them."""
    found = [*_findings(profile, surroundings)]
    bottlenecks = sorted((one for one, _ in found if one is not None), key=lambda one: -one.seconds)
    recommendations = dict.fromkeys(one for _, one in found if one is not None)
    return replace(profile, bottlenecks=tuple(bottlenecks), recommendations=tuple(recommendations))


def _findings(profile: Profile, surroundings: Surroundings) -> Iterator[Finding]:
    if not profile.duration > 0.0:
        return
    yield from _queues(profile, surroundings)
    yield from _starts(profile, surroundings)
    yield from _images(profile, surroundings)
    yield from _waits(profile, surroundings)
    yield from _stragglers(profile, surroundings)
    for use in uses(profile, surroundings):
        yield from _usage(profile, surroundings, use)
    for step in profile.steps:
        if step.run_id == profile.run_id and step.critical >= _SHARE * profile.duration:
            yield None, cache_advice(profile, step, surroundings)


def _bottleneck(profile: Profile, type_: str, component: str, lost: float, evidence: str) -> Bottleneck:
    share = min(1.0, lost / profile.duration)
    severity = "high" if share >= 0.5 else "medium" if share >= 0.25 else "low"
    return Bottleneck(type_, severity, component, lost, share, evidence)


def _matters(profile: Profile, lost: float, share: float = _SHARE) -> bool:
    return lost >= max(_SECONDS, share * profile.duration)


def _of_run(profile: Profile, lost: float) -> str:
    return f"{seconds(lost)} ({percent(lost / profile.duration)} of the run)"


def _machine_is_busy(profile: Profile, surroundings: Surroundings) -> bool:
    """Whether more tasks at a time would only share the CPUs that there are."""
    if surroundings.cpus is None:
        return False
    used: float = sum(one.usage.get("cpu_seconds", 0.0) for step in profile.steps for one in step.attempts)
    return used >= _BUSY_MACHINE * surroundings.cpus * profile.duration


def _on_path(profile: Profile, *parts: str) -> dict[tuple[str, str], float]:
    """The seconds of some parts on the critical path, by run and step."""
    found: dict[tuple[str, str], float] = {}
    for link in profile.path:
        lost = sum(link.parts.get(part, 0.0) for part in parts)
        if lost > 0.0 and link.step_id is not None:
            key = (link.run_id, link.step_id)
            found[key] = found.get(key, 0.0) + lost
    return found


def _step(profile: Profile, key: tuple[str, str]) -> StepProfile:
    return next(step for step in profile.steps if (step.run_id, step.id) == key)


def _queues(profile: Profile, surroundings: Surroundings) -> Iterator[Finding]:
    """Tasks that waited for room: a slot, a turn in their map, a warm agent."""
    busy = _machine_is_busy(profile, surroundings)
    for key, lost in _on_path(profile, "queue").items():
        if not _matters(profile, lost):
            continue
        step = _step(profile, key)
        evidence = (
            f"the critical path waited {_of_run(profile, lost)} for room; of step {step.id} at most "
            f"{step.max_at_once} at a time were in progress"
        )
        yield (
            _bottleneck(profile, "concurrency", f"step {step.id}", lost, evidence),
            None if busy else advise_room(profile, step, surroundings, lost),
        )


def _starts(profile: Profile, surroundings: Surroundings) -> Iterator[Finding]:
    """Making and starting agents took a good part of the time, or of what others waited for."""
    by_step = _on_path(profile, *_STARTING)
    own = sum(by_step.values())
    for key, queued in _on_path(profile, "queue").items():
        by_step[key] = by_step.get(key, 0.0) + queued * _starting_share(_step(profile, key))
    lost = sum(by_step.values())
    if not _matters(profile, lost, _STARTING_SHARE):
        return
    count = sum(
        not attempt.warm and any(attempt.parts.get(part) for part in _STARTING)
        for step in profile.steps
        for attempt in step.attempts
    )
    others = f", and waiting for the starts of others {seconds(lost - own)}" if lost - own >= 0.01 else ""
    evidence = (
        f"on the critical path making and starting agents took {_of_run(profile, own)}{others}; "
        f"{count} were started in all"
    )
    yield _bottleneck(profile, "wait", "starts of agents", lost, evidence), None
    for key in by_step:
        for recommendation in advise_starts(_step(profile, key), surroundings):
            yield None, recommendation


def _starting_share(step: StepProfile) -> float:
    """How much of the work of its tasks, which others of its tasks waited for, is their start."""
    work = sum(seconds for part, seconds in step.parts.items() if part not in ("queue", "backoff"))
    return sum(step.parts.get(part, 0.0) for part in _STARTING) / work if work > 0.0 else 0.0


def _images(profile: Profile, surroundings: Surroundings) -> Iterator[Finding]:
    for key, lost in _on_path(profile, "image").items():
        if _matters(profile, lost):
            step = _step(profile, key)
            evidence = f"on the critical path getting the image took {_of_run(profile, lost)}"
            yield (
                _bottleneck(profile, "io", f"step {step.id}", lost, evidence),
                advise_images(step, surroundings, lost),
            )


def _waits(profile: Profile, surroundings: Surroundings) -> Iterator[Finding]:
    """Pauses between tries, gates, delays, and times without an engine."""
    said = {
        "backoff": "the pauses between its tries",
        "approval": "waiting for a person",
        "delay": "its delay",
        "away": "times in which no engine was there",
    }
    for part, words in said.items():
        for key, lost in _on_path(profile, part).items():
            if not _matters(profile, lost):
                continue
            step = _step(profile, key)
            evidence = f"on the critical path {words} took {_of_run(profile, lost)}"
            advice = advise_retries(step, surroundings, lost) if part == "backoff" else None
            yield _bottleneck(profile, "wait", f"step {step.id}", lost, evidence), advice


def _stragglers(profile: Profile, surroundings: Surroundings) -> Iterator[Finding]:
    """Items on the critical path that ran much longer than the others of their step."""
    for link in profile.path:
        if link.item is None or link.step_id is None or not link.parts.get("run"):
            continue
        step = _step(profile, (link.run_id, link.step_id))
        ran = {item.index: item.parts.get("run", 0.0) for item in step.items}
        rest = sorted(time for index, time in ran.items() if index != link.item)
        own, ends = ran.get(link.item, 0.0), [item.end for item in step.items if item.index != link.item]
        if len(rest) < _FEWEST_ITEMS:
            continue
        median = rest[len(rest) // 2]
        lost = min(own - median, link.end - max(ends))
        if own < _STRAGGLER * median or not _matters(profile, lost):
            continue
        evidence = (
            f"it ran {seconds(own)}, the others {seconds(median)} (median of {len(rest)}); "
            f"the last {seconds(link.end - max(ends))} nothing else of its step was in progress"
        )
        component = f"step {step.id}, item {link.item}"
        settings = surroundings.of(step.run_id, step.id)
        batch = settings.batch_size if settings is not None else 1
        yield (
            _bottleneck(profile, "concurrency", component, lost, evidence),
            Recommendation(component, "map_config.batch_size", str(batch), str(max(1, batch // 2)), evidence)
            if batch > 1
            else Recommendation(
                f"step {step.id}",
                f"item {link.item} of its input",
                seconds(own),
                f"several smaller ones, of about {seconds(median)} each",
                evidence,
            ),
        )


def _usage(profile: Profile, surroundings: Surroundings, use: Use) -> Iterator[Finding]:
    """What a step's tasks had of what they were allowed."""
    step, component = use.step, f"step {use.step.id}"
    if use.cpu_share is not None and use.cpu_share >= CPU_SHARE and _matters(profile, use.critical):
        evidence = (
            f"its tasks used {percent(use.cpu_share)} of their {use.cpu_limit:g} CPUs while they ran "
            f"({seconds(use.critical)} of the critical path)"
        )
        yield (
            _bottleneck(profile, "cpu", component, use.critical, evidence),
            advise_usage(use, "cpu", surroundings, evidence),
        )
    if (starved := _starved(use)) is not None:
        yield (
            _bottleneck(profile, "memory", component, step.critical, starved),
            advise_usage(use, "memory", surroundings, starved),
        )
    elif (recommendation := memory_to_spare(use)) is not None:
        yield None, recommendation
    if use.disk_rate >= _BUSY_DISK and (use.cpus_used or 0.0) < 0.5 and _matters(profile, use.critical):
        evidence = (
            f"its tasks read and wrote {use.disk_rate / 1e6:.0f} MB a second and kept "
            f"{use.cpus_used or 0.0:.1f} CPUs busy ({seconds(use.critical)} of the critical path)"
        )
        yield _bottleneck(profile, "io", component, use.critical, evidence), None


def _starved(use: Use) -> str | None:
    """The numbers of a step whose tasks had too little memory."""
    killed = [attempt for attempt in use.step.attempts if _killed(attempt)]
    if killed:
        return f"{len(killed)} of its {len(use.step.attempts)} tries were killed for want of memory"
    if use.memory_share is not None and use.memory_share >= MEMORY_SHARE:
        return f"its tasks used up to {percent(use.memory_share)} of the memory that they may have"
    return None


def _killed(attempt: AttemptProfile) -> bool:
    return attempt.reason == "oom_killed"
