"""Which step of one run is which step of the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

from agentainer_tui.views import StepView

Steps = Mapping[str, StepView]


class Pair(NamedTuple):
    """A step of the first run and its twin in the second one; None where there is none."""

    before: StepView | None
    after: StepView | None


def pair_steps(before: Steps, after: Steps) -> list[Pair]:
    """All steps of both, in the order of the second run; what only the first one had stands where it stood.

    Steps belong together by their id; those left over by their name, else by what they run, where no other
    step has the same.
    """
    twins = {step_id: step_id for step_id in before if step_id in after}
    for same in (_by_name, _by_work):
        _match(before, after, twins, same)
    found = {twin: step_id for step_id, twin in twins.items()}
    pairs = [Pair(before[found[key]] if key in found else None, step) for key, step in after.items()]
    places = {pair.before.id: place for place, pair in enumerate(pairs) if pair.before is not None}
    return _with_lost(pairs, [step for key, step in before.items() if key not in twins], before, places)


def _match(
    before: Steps, after: Steps, twins: dict[str, str], same: Callable[[StepView], Hashable | None]
) -> None:
    """Make twins of steps that are alike and of which there is but one on each side."""
    taken = set(twins.values())
    left = [step for step in before.values() if step.id not in twins]
    right = [step for step in after.values() if step.id not in taken]
    counts = Counter(same(step) for step in left), Counter(same(step) for step in right)
    alike = {same(step): step.id for step in right}
    for step in left:
        key = same(step)
        if key is not None and counts[0][key] == counts[1][key] == 1:
            twins[step.id] = alike[key]


def _by_name(step: StepView) -> Hashable | None:
    return step.name


def _by_work(step: StepView) -> Hashable | None:
    work = (step.image, step.command, step.sub_workflow)
    return (step.type, *work) if any(work) else None


def _with_lost(pairs: list[Pair], lost: list[StepView], before: Steps, places: dict[str, int]) -> list[Pair]:
    """Put each lost step after the one that it followed in its own run."""
    order = list(before)
    follow: dict[int, list[Pair]] = {}
    for step in lost:
        earlier = reversed(order[: order.index(step.id)])
        place = next((places[step_id] for step_id in earlier if step_id in places), -1)
        follow.setdefault(place, []).append(Pair(step, None))
    found = list(follow.get(-1, ()))
    for place, pair in enumerate(pairs):
        found += [pair, *follow.get(place, ())]
    return found
