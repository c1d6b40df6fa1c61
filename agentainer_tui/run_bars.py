"""The last runs of a workflow as small bars: the colour is how a run ended, the height how long it took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentainer_tui.charts import LEVELS
from agentainer_tui.looks import LOOKS, UNKNOWN, Glyphs
from agentainer_tui.views import RunRow, elapsed


def run_bars(runs: Sequence[RunRow], width: int, now: float, glyphs: Glyphs) -> Iterator[tuple[str, str]]:
    """A sign and its ink for each of the newest `width` runs (given newest first), oldest first.

    Heights are relative to the longest of those shown. Without such signs, the signs of the statuses.
    """
    shown = list(runs[:width])[::-1]
    took = [_took(run, now) for run in shown]
    longest = max((each for each in took if each is not None), default=0.0)
    for run, seconds in zip(shown, took, strict=True):
        look = LOOKS.get(run.status, UNKNOWN)
        if glyphs.is_ascii:
            yield look.ascii, look.ink
        else:
            yield _bar(seconds, longest), look.ink


def _took(run: RunRow, now: float) -> float | None:
    begun = run.started_at if run.started_at is not None else run.created_at
    return elapsed(begun, run.finished_at, now)


def _bar(seconds: float | None, longest: float) -> str:
    if not seconds or longest <= 0:
        return LEVELS[0]
    return LEVELS[min(len(LEVELS) - 1, int(seconds / longest * len(LEVELS)))]
