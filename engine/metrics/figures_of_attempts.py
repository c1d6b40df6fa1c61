"""What the tasks of a step used of what they were allowed, from what the history has of their attempts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.metrics.profile_records import AttemptProfile, Profile, StepProfile, Surroundings

# From here on a limit is what holds the task back.
CPU_SHARE = 0.9
MEMORY_SHARE = 0.9
MEMORY_TO_SPARE = 0.2


@dataclass(frozen=True, slots=True)
class Use:
    """Of one step.

    Attributes:
        step: the step.
        critical: seconds that its tasks ran on the critical path.
        cpus_used: how many CPUs a task kept busy on average, None if that is not known.
        cpu_limit: how many it may have: its limit, or the whole machine; None if that is not known.
        own_cpu_limit: whether the document limits them.
        memory_peak: the most bytes that one task had.
        memory_limit: the most that it may have.
        disk_rate: bytes that one task read and wrote in a second, on average.
    """

    step: StepProfile
    critical: float
    cpus_used: float | None
    cpu_limit: float | None
    own_cpu_limit: bool
    memory_peak: int | None
    memory_limit: int | None
    disk_rate: float

    @property
    def cpu_share(self) -> float | None:
        """How much of its CPUs it used."""
        return self.cpus_used / self.cpu_limit if self.cpus_used is not None and self.cpu_limit else None

    @property
    def memory_share(self) -> float | None:
        """How much of its memory it used at the most."""
        return self.memory_peak / self.memory_limit if self.memory_peak and self.memory_limit else None


def uses(profile: Profile, surroundings: Surroundings) -> Iterator[Use]:
    """Of every step of whose tasks something is known."""
    for step in profile.steps:
        measured = [attempt for attempt in step.attempts if attempt.usage]
        killed = any(attempt.reason == "oom_killed" for attempt in step.attempts)
        if not measured and not killed:
            continue
        settings = surroundings.of(step.run_id, step.id)
        limit = settings.cpu_limit / 1e9 if settings is not None and settings.cpu_limit else None
        peaks = [peak for attempt in measured if (peak := attempt.usage.get("memory_peak"))]
        yield Use(
            step,
            _ran_on_path(profile, step),
            _rate(measured, "cpu_seconds"),
            limit if limit is not None else _alone(step, surroundings),
            limit is not None,
            max(peaks, default=None),
            settings.memory_limit if settings is not None else None,
            (_rate(measured, "block_read") or 0.0) + (_rate(measured, "block_write") or 0.0),
        )


def _ran_on_path(profile: Profile, step: StepProfile) -> float:
    return sum(
        link.parts.get("run", 0.0)
        for link in profile.path
        if (link.run_id, link.step_id) == (step.run_id, step.id)
    )


def _rate(attempts: list[AttemptProfile], figure: str) -> float | None:
    """How much of something a second of running took, over all attempts of which that is known."""
    known = [attempt for attempt in attempts if figure in attempt.usage and attempt.ran > 0.0]
    ran = sum(attempt.ran for attempt in known)
    return sum(attempt.usage[figure] for attempt in known) / ran if ran > 0.0 else None


def _alone(step: StepProfile, surroundings: Surroundings) -> float | None:
    """The machine's CPUs for a task without a limit; several at a time share them."""
    if surroundings.cpus is None:
        return None
    return surroundings.cpus / max(1, step.max_at_once)
