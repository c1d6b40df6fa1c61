"""Which setting would help, what it is now and what it could be; nothing is advised without numbers."""

from __future__ import annotations

from collections.abc import Iterator

from engine.metrics.figures_of_attempts import MEMORY_TO_SPARE, Use
from engine.metrics.profile_records import Profile, Recommendation, StepProfile, StepSettings, Surroundings
from engine.metrics.wording import memory, percent, seconds

# Warm agents pay for themselves from so many tasks on.
_TASKS_FOR_A_POOL = 3
_SLOW_START = 0.1
_LEAST_MEMORY = 16 << 20
# Memory that is left over matters from here on.
_MUCH_MEMORY = 256 << 20


def advise_room(
    profile: Profile, step: StepProfile, surroundings: Surroundings, lost: float
) -> Recommendation | None:
    """The limit that tasks of a step waited for, and a higher one; None if none of ours was reached."""
    settings = surroundings.of(step.run_id, step.id)
    workflow = surroundings.workflows.get(step.run_id)
    if settings is None or workflow is None:
        return None
    at_once, peak = step.max_at_once, profile.parallelism.peak
    wanted = max(1, len(step.items))
    evidence = (
        f"{at_once} of its tasks were in progress at a time, {peak} of the run, and the critical path waited "
        f"{seconds(lost)} for room"
    )
    name = f"step {step.id}"
    if settings.max_concurrency and at_once >= settings.max_concurrency:
        present, setting = settings.max_concurrency, "map_config.max_concurrency"
        return Recommendation(
            name, setting, str(present), str(_more(present, wanted, surroundings)), evidence
        )
    if workflow.max_parallel and peak >= workflow.max_parallel:
        present = workflow.max_parallel
        return Recommendation(
            "workflow", "config.max_parallel", str(present), str(_more(present, None, surroundings)), evidence
        )
    if settings.pool is not None and settings.pool_max and at_once >= settings.pool_max:
        present = settings.pool_max
        more = _more(present, wanted if step.items else None, surroundings)
        return Recommendation(
            f"pool {settings.pool}", "pool_config.max_size", str(present), str(more), evidence
        )
    if surroundings.max_tasks and peak >= surroundings.max_tasks:
        present = surroundings.max_tasks
        return Recommendation(
            "this machine", "max_tasks (settings)", str(present), str(2 * present), evidence
        )
    return None


def _more(present: int, wanted: int | None, surroundings: Surroundings) -> int:
    """Twice as many, but no more than there are tasks, nor than the machine runs."""
    limits = [limit for limit in (wanted, surroundings.max_tasks) if limit is not None and limit > present]
    return min([2 * present, *limits])


def advise_starts(step: StepProfile, surroundings: Surroundings) -> Iterator[Recommendation]:
    """Warm agents, or a network that is there already, for a step whose agents take long to start."""
    settings = surroundings.of(step.run_id, step.id)
    cold = [attempt for attempt in step.attempts if not attempt.warm and attempt.parts.get("start")]
    if settings is None or not cold:
        return
    starting = sum(attempt.parts.get("start", 0.0) + attempt.parts.get("create", 0.0) for attempt in cold)
    ran = sum(attempt.ran for attempt in cold)
    average = starting / len(cold)
    evidence = (
        f"{len(cold)} agents took {seconds(average)} each to make and start, their tasks ran "
        f"{seconds(ran / len(cold))} each"
        if len(cold) > 1
        else f"its agent took {seconds(average)} to make and start, its task ran {seconds(ran)}"
    )
    name = f"step {step.id}"
    if settings.pool is None and len(cold) >= _TASKS_FOR_A_POOL and starting >= ran / 2:
        yield Recommendation(name, "execution_mode", "standard", "pooled", evidence)
    elif settings.pool is None and settings.network == "default" and average >= _SLOW_START:
        yield Recommendation(name, "network", "default", "run", evidence)
    elif settings.pool is not None and not settings.warm_up and _SLOW_START <= average <= step.dependencies:
        # There was time enough to start them while other steps ran.
        yield Recommendation(f"pool {settings.pool}", "pool_config.warm_up", "false", "true", evidence)


def advise_images(step: StepProfile, surroundings: Surroundings, lost: float) -> Recommendation | None:
    """Not to pull what is there."""
    settings = surroundings.of(step.run_id, step.id)
    if settings is None or settings.pull_policy != "always":
        return None
    evidence = (
        f"{len(step.attempts)} tries asked the registry for the image, {seconds(lost)} on the critical path"
    )
    return Recommendation(f"step {step.id}", "pull_policy", "always", "missing", evidence)


def advise_retries(step: StepProfile, surroundings: Surroundings, lost: float) -> Recommendation | None:
    """A delay between tries that is of the order of what is tried."""
    settings = surroundings.of(step.run_id, step.id)
    tried = [attempt for attempt in step.attempts if attempt.status == "failed"]
    if settings is None or not tried or not settings.retry_delay:
        return None
    took = sorted(attempt.end - attempt.begin for attempt in tried)[len(tried) // 2]
    proposed = max(0.5, round(took, 1))
    if proposed > settings.retry_delay / 2:
        return None
    evidence = (
        f"{len(tried)} failed tries took {seconds(took)} each, the pauses after them {seconds(lost)} of the "
        "critical path"
    )
    return Recommendation(
        f"step {step.id}", "retry_policy.delay", f"{settings.retry_delay:g}s", f"{proposed:g}s", evidence
    )


def advise_usage(use: Use, resource: str, surroundings: Surroundings, evidence: str) -> Recommendation | None:
    """A higher limit for a step whose tasks are held back by the one they have."""
    name = f"step {use.step.id}"
    if resource == "cpu":
        if not use.own_cpu_limit or use.cpu_limit is None:
            return None
        proposed = min(2 * use.cpu_limit, float(surroundings.cpus or 2 * use.cpu_limit))
        if proposed <= use.cpu_limit:
            return None
        return Recommendation(
            name, "resource_limits.cpu_limit", f"{use.cpu_limit:g}", f"{proposed:g}", evidence
        )
    if use.memory_limit is None:
        return None
    proposed_bytes = max(1.5 * (use.memory_peak or 0), 1.5 * use.memory_limit)
    setting = "resource_limits.memory_limit"
    return Recommendation(name, setting, memory(use.memory_limit), memory(proposed_bytes), evidence)


def memory_to_spare(use: Use) -> Recommendation | None:
    """A lower limit for a step that never comes near its own; others could have that memory."""
    limit, peak = use.memory_limit, use.memory_peak
    if limit is None or not peak or limit < _MUCH_MEMORY or peak >= MEMORY_TO_SPARE * limit:
        return None
    proposed = max(_LEAST_MEMORY, 2 * peak)
    evidence = f"its tasks used at most {memory(peak)}, {percent(peak / limit)} of what they may have"
    name, setting = f"step {use.step.id}", "resource_limits.memory_limit"
    return Recommendation(name, setting, memory(limit), memory(proposed), evidence)


def cache_advice(profile: Profile, step: StepProfile, surroundings: Surroundings) -> Recommendation | None:
    """To remember the result of a step that gave the same one before."""
    settings: StepSettings | None = surroundings.of(step.run_id, step.id)
    if settings is None or settings.cached or step.id not in surroundings.repeated or not step.attempts:
        return None
    evidence = (
        f"it took {seconds(step.critical)} of the critical path and gave the same result as in run "
        f"{surroundings.earlier_run}, with the same params"
    )
    return Recommendation(f"step {step.id}", "cache", None, "true", evidence)
