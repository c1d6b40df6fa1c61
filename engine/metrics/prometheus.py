"""Prometheus text format 0.0.4: what a scraper reads, through a file or a web server of its own.

Counters count everything that was ever recorded in a home, deleted runs included, so that they never go back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from engine.clock import parse_time
from engine.metrics.aggregate_records import JUDGED, Aggregate

Labels = tuple[tuple[str, str], ...]
Samples = Iterable[tuple[str, Labels, float]]

_PREFIX = "agentainer"

# Column of the rows of counters -> name and what it is.
_COUNTERS = {
    6: ("run_retries", "Tries after a first one, over all steps and items."),
    7: ("steps", "Steps of runs that are over."),
    8: ("failed_steps", "Steps that failed."),
    9: ("tasks", "Tasks that had an agent."),
    10: ("agents_deployed", "Agents that were started."),
    11: ("pool_hits", "Tasks of pools that found a ready agent."),
    12: ("pool_misses", "Tasks of pools that did not find a ready agent."),
    13: ("cpu_seconds", "CPU time that agents are known to have used."),
    14: ("network_received_bytes", "Bytes that agents are known to have received."),
    15: ("network_sent_bytes", "Bytes that agents are known to have sent."),
}


def exposition(counters: Sequence[tuple[Any, ...]], workflows: Sequence[Aggregate]) -> str:
    """All figures of a home.

    Args:
        counters: as `history.figures.forgotten_rows` describes them. Runs that are part of others have
            `child="true"`.
        workflows: every workflow with its runs that are still in the history.
    """
    lines = [*_family("runs_total", "counter", "Runs that are over, by how they ended.", _runs(counters))]
    for column, (name, what) in _COUNTERS.items():
        lines += _family(f"{name}_total", "counter", what, _counted(f"{name}_total", counters, column))
    duration = "Seconds that runs took which ended by themselves; quantiles over the runs in the history."
    lines += _family("run_duration_seconds", "summary", duration, _durations(counters, workflows))
    active = "Runs that are not over, by status."
    lines += _family("active_runs", "gauge", active, _active(workflows))
    last = "When the newest run was created, in Unix time."
    lines += _family("last_run_timestamp_seconds", "gauge", last, _last(workflows))
    peak = "The most memory that one agent is known to have used, over the runs in the history."
    memory = [("memory_peak_bytes", _of(one), float(one.memory_peak)) for one in workflows]
    lines += _family("memory_peak_bytes", "gauge", peak, memory)
    return "".join(f"{line}\n" for line in lines)


def _family(name: str, kind: str, what: str, samples: Samples) -> Iterator[str]:
    yield f"# HELP {_PREFIX}_{name} {_escaped(what, quotes=False)}"
    yield f"# TYPE {_PREFIX}_{name} {kind}"
    for sample, labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
        yield f"{_PREFIX}_{sample}{{{inside}}} {value!r}"


def _escaped(text: str, *, quotes: bool = True) -> str:
    """As the format wants it; what cannot be encoded becomes a question mark."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    text = text.replace('"', '\\"') if quotes else text
    return text.encode("utf-8", "replace").decode()


def _of(figures: Aggregate) -> Labels:
    return (("workflow", figures.workflow or ""),)


def _labels(workflow: str, child: Any) -> Labels:
    return (("workflow", workflow), ("child", "true" if child else "false"))


def _runs(counters: Sequence[tuple[Any, ...]]) -> Samples:
    for workflow, status, child, runs, *_ in counters:
        yield "runs_total", (*_labels(workflow, child), ("status", status)), float(runs)


def _counted(name: str, counters: Sequence[tuple[Any, ...]], column: int) -> Samples:
    sums: defaultdict[Labels, float] = defaultdict(float)
    for row in counters:
        sums[_labels(row[0], row[2])] += row[column] or 0
    return [(name, labels, value) for labels, value in sums.items()]


def _durations(counters: Sequence[tuple[Any, ...]], workflows: Sequence[Aggregate]) -> Samples:
    """Quantiles of what is there, and sum and count of all that ever was."""
    name = "run_duration_seconds"
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for workflow, status, child, _, timed, seconds, *_ in counters:
        if status in JUDGED and not child:
            sums[workflow][0] += seconds
            sums[workflow][1] += timed
    quantiles = {one.workflow: one.duration for one in workflows}
    for workflow, (seconds, timed) in sums.items():
        labels: Labels = (("workflow", workflow),)
        if (found := quantiles.get(workflow)) is not None:
            for quantile, value in (("0.5", found.p50), ("0.9", found.p90), ("0.99", found.p99)):
                if value is not None:
                    yield name, (*labels, ("quantile", quantile)), float(value)
        yield f"{name}_sum", labels, seconds
        yield f"{name}_count", labels, timed


def _active(workflows: Sequence[Aggregate]) -> Samples:
    for one in workflows:
        for status in ("pending", "running", "cancelling"):
            yield "active_runs", (*_of(one), ("status", status)), float(one.by_status.get(status, 0))


def _last(workflows: Sequence[Aggregate]) -> Samples:
    for one in workflows:
        if one.last_run_at is not None:
            yield "last_run_timestamp_seconds", _of(one), parse_time(one.last_run_at).timestamp()
