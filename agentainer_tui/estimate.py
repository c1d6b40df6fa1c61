"""When a run and its steps will be over, from how long they usually take, and its critical path. Pure.

The graph is walked once: what is over ended when it did, what runs ends as usual (a map: at the pace of its
items so far), and what is pending begins when the last thing before it ends. Where earlier runs took longer
than the graph alone explains, since not everything that could run at once did, what is pending is stretched
by as much.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agentainer_tui.step_rows import ROLES, ordered
from agentainer_tui.text import duration
from agentainer_tui.views import RunView, StepView
from engine.events import RunStatus, StepStatus

# A step that nothing is known of, for the path alone.
_GUESS = 1.0
# How far an estimate may move before it is shown: a part of what is left, and seconds.
_PART, _LEAST = 0.15, 1.5
# Less than so many seconds ahead is soon enough; more than so many too late is late.
_SOON, _LATE = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that completed: its seconds, and those of its steps (0 for one that was skipped)."""

    seconds: float
    steps: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Usual:
    """How long a workflow and its steps usually take: medians over `runs` that completed."""

    runs: int = 0
    seconds: float | None = None
    steps: Mapping[str, float] = field(default_factory=dict)


NOTHING_USUAL = Usual()


def usual_of(past: Sequence[PastRun]) -> Usual:
    """The medians of earlier runs."""
    if not past:
        return NOTHING_USUAL
    taken: dict[str, list[float]] = {}
    for run in past:
        for step_id, seconds in run.steps.items():
            taken.setdefault(step_id, []).append(seconds)
    steps = {step_id: statistics.median(found) for step_id, found in taken.items()}
    return Usual(len(past), statistics.median(run.seconds for run in past), steps)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected; times are seconds since the epoch.

    Attributes:
        begins, ends: of each step, when it did or will begin and end.
        guessed: steps whose times are no more than a guess, since nothing like them has run before.
        usual: how long each step usually takes, `seconds` how long the run does.
        end: of the run; None if that cannot be told.
        path: the steps of the critical path: exact once the run is over.
    """

    begins: Mapping[str, float] = field(default_factory=dict)
    ends: Mapping[str, float] = field(default_factory=dict)
    guessed: frozenset[str] = frozenset()
    usual: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    end: float | None = None
    path: frozenset[str] = frozenset()

    def time_left(self, step: StepView, now: float) -> str:
        """How long a step that runs will take still, in words; nothing where that cannot be told."""
        end = self.ends.get(step.id)
        if end is None or step.id in self.guessed or step.started_at is None:
            return ""
        return _left(end, step.started_at, self.usual.get(step.id), now)

    def time_left_of_run(self, view: RunView, now: float) -> str:
        """The same of the whole run."""
        if self.end is None or view.begun_at is None or view.status is not RunStatus.RUNNING:
            return ""
        return _left(self.end, view.begun_at, self.seconds, now)


NO_FORECAST = Forecast()


def _left(end: float, begun: float, usual: float | None, now: float) -> str:
    if end - now >= _SOON:
        return f"eta {duration(end - now)}"
    late = 0.0 if usual is None else now - begun - usual
    return "longer than usual" if usual is not None and late > max(_LATE, _PART * usual) else ""


def forecast(view: RunView, usual: Usual, now: float) -> Forecast:
    """What is expected of a run."""
    if view.begun_at is None or not view.steps:
        return NO_FORECAST
    steps = ordered(view)
    walk = _Walk(view, usual, now, 1.0 if view.status.is_terminal else _stretch(steps, usual))
    for step in steps:
        walk.take(step)
    path = frozenset(each for each in _path(view, walk) if each not in walk.guessed or _has_begun(view, each))
    if view.finished_at is not None:
        return Forecast(walk.begins, walk.ends, end=view.finished_at, path=path)
    end = None
    if not walk.guessed:
        end = max(walk.ends.values(), default=now)
    elif usual.seconds is not None and view.begun_at + usual.seconds > now:
        end = view.begun_at + usual.seconds
    guessed = frozenset(walk.guessed)
    return Forecast(walk.begins, walk.ends, guessed, usual.steps, usual.seconds, end, path)


def _stretch(steps: Sequence[StepView], usual: Usual) -> float:
    """How much longer than its longest chain a run usually takes."""
    if usual.seconds is None:
        return 1.0
    ideal: dict[str, float] = {}
    roles: dict[str, float] = {}
    for step in steps:
        before = [ideal[each] for each in (*step.depends_on, step.parent or "") if each in ideal]
        earlier = [end for role, end in roles.items() if role != step.role]
        ideal[step.id] = max([*before, *earlier], default=0.0) + usual.steps.get(step.id, 0.0)
        roles[step.role] = max(roles.get(step.role, 0.0), ideal[step.id])
    longest = max(ideal.values(), default=0.0)
    return max(1.0, usual.seconds / longest) if longest > 0 else 1.0


class _Walk:
    """Times of steps, in an order that puts dependencies first."""

    def __init__(self, view: RunView, usual: Usual, now: float, stretch: float) -> None:
        self.begins: dict[str, float] = {}
        self.ends: dict[str, float] = {}
        self.guessed: set[str] = set()
        self._view = view
        self._usual = usual
        self._now = now
        self._stretch = stretch
        self._roles: dict[str, float] = {}
        self._groups = {step.parent for step in view.steps.values() if step.parent is not None}

    def take(self, step: StepView) -> None:
        """Work out one step."""
        begin, end = self._times(step)
        self.begins[step.id], self.ends[step.id] = begin, end
        self._roles[step.role] = max(self._roles.get(step.role, 0.0), end)
        parent = step.parent
        while parent is not None and parent in self.ends:
            if step.id in self.guessed:
                self.guessed.add(parent)
            # A group is over when its last member is.
            if not self._view.steps[parent].status.is_terminal:
                self.ends[parent] = max(self.ends[parent], end)
            parent = self._view.steps[parent].parent

    def _times(self, step: StepView) -> tuple[float, float]:
        if step.finished_at is not None:
            return step.started_at or step.finished_at, step.finished_at
        if step.role == "on_failure" and step.started_at is None and self._is_well:
            return self._now, self._now  # it will not run
        usual = self._usual.steps.get(step.id)
        is_group = step.id in self._groups
        if usual is None and not is_group:
            self.guessed.add(step.id)
        seconds = 0.0 if is_group else _GUESS if usual is None else usual
        if step.started_at is None:
            begin = self._ready(step)
            return begin, begin + seconds * self._stretch
        end = step.started_at + seconds
        if (pace := _pace(step, self._now)) is not None:
            end = pace
            self.guessed.discard(step.id)
        if step.waiting.why == "delay" and step.waiting.due is not None:
            end = step.waiting.due
        if step.next_attempt_at is not None:
            end = max(end, step.next_attempt_at + seconds)
        return step.started_at, max(end, self._now)

    @property
    def _is_well(self) -> bool:
        return not self._view.tally.get(StepStatus.FAILED)

    def _ready(self, step: StepView) -> float:
        before = [self.ends[each] for each in step.depends_on if each in self.ends]
        if step.parent in self.begins:
            before.append(self.begins[step.parent])
        rank = ROLES.index(step.role) if step.role in ROLES else 0
        before += [end for role, end in self._roles.items() if role in ROLES[:rank]]
        return max([self._now, *before])


def _pace(step: StepView, now: float) -> float | None:
    """When the items of a step are done at their pace so far; None before enough of them are."""
    done = sum(number for status, number in step.tally.items() if status.is_terminal)
    if step.started_at is None or done < 3 or now <= step.started_at:
        return None
    return step.started_at + (now - step.started_at) * len(step.items) / done


def _path(view: RunView, walk: _Walk) -> Iterable[str]:
    """Back from what ends last, each time to that which it waited for longest."""
    inside: dict[str | None, list[StepView]] = {}
    for step in view.steps.values():
        if _works(step, walk):
            inside.setdefault(step.parent if step.parent in view.steps else None, []).append(step)

    def chain(level: Sequence[StepView]) -> Iterable[str]:
        here = {step.id: step for step in level}
        step = _last(level, walk)
        while step is not None:
            yield step.id
            yield from chain(inside.get(step.id, ()))
            before = _awaited(view, step, here)
            rank = ROLES.index(step.role) if step.role in ROLES else 0
            if not before and rank:
                before = [each for each in level if each.role in ROLES[:rank]]
            step = _last(before, walk)

    return chain(inside.get(None, ()))


def _awaited(view: RunView, step: StepView, here: Mapping[str, StepView]) -> list[StepView]:
    """What a step waited for: what it depends on, and of what was skipped, what that waited for."""
    found: list[StepView] = []
    seen: set[str] = set()
    asked = list(step.depends_on)
    while asked:
        each = asked.pop()
        if each in seen or each not in view.steps:
            continue
        seen.add(each)
        if each in here:
            found.append(here[each])
        else:
            asked += view.steps[each].depends_on
    return found


def _works(step: StepView, walk: _Walk) -> bool:
    """Whether it takes, took or will take time."""
    if step.started_at is None:
        return not step.status.is_terminal and walk.ends[step.id] > walk.begins[step.id]
    return step.status is not StepStatus.SKIPPED


def _last(steps: Sequence[StepView], walk: _Walk) -> StepView | None:
    return max(
        steps, key=lambda step: (walk.ends[step.id], -walk.begins[step.id], step.ordinal), default=None
    )


def _has_begun(view: RunView, step_id: str) -> bool:
    return view.steps[step_id].started_at is not None


class SteadyEnd:
    """An expected end that moves only when the estimate has moved by more than it wavers."""

    def __init__(self) -> None:
        self._shown: float | None = None

    def take(self, end: float | None, now: float) -> float | None:
        """The end to show, now that `end` is estimated."""
        shown = self._shown
        if end is None or shown is None or abs(end - shown) > max(_LEAST, _PART * (end - now)):
            self._shown = end
        return self._shown
