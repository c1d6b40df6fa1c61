"""`profile`: where the time of a run went, what held it up, and what to do about it."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentainer_tui.commands.console import err, out, print_json, print_table
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.commands.narration import label
from agentainer_tui.commands.runs import read
from agentainer_tui.text import clean, counted, duration, fit
from engine.errors import UsageError
from engine.profiling import Link, Profile, StepProfile, chrome_trace, profile_run, speedscope

# What a part of the time is called, and the colour of its bar.
_PARTS = {
    "dependencies": "waiting for other steps",
    "queue": "waiting for room",
    "image": "getting images",
    "create": "making agents",
    "start": "starting agents",
    "run": "running tasks",
    "collect": "keeping artifacts",
    "backoff": "pauses between tries",
    "approval": "waiting for approval",
    "delay": "delays",
    "away": "no engine was there",
    "other": "the engine itself",
    "cleanup": "removing agents",
}
_INKS = {"run": "success", "other": "faint", "cleanup": "faint", "approval": "warning", "delay": "warning"}
_SHORT = {"other": "engine"}
_WIDTH = 78
_NAME = 42
_BAR = 30
_LEAST = 0.001  # seconds; what took less is not worth a line
_LINKS_SHOWN = 20
_STEPS_SHOWN = 10
_BLOCKS = " ▁▂▃▄▅▆▇█"
_SEVERITIES = {"high": "error", "medium": "warning", "low": "muted"}


def profile(options: Namespace) -> int:
    """`agentainer profile RUN`."""
    settings = settings_of(options)
    found = read(options, lambda history: profile_run(history, options.run, settings))
    for path, document in ((options.trace, chrome_trace), (options.speedscope, speedscope)):
        if path is not None:
            _write(Path(path), document(found))
    if options.json:
        print_json(found.to_json())
    else:
        _report(found)
    return 0


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(document) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None
    err.line(f"wrote {path}")


def _report(found: Profile) -> None:
    _header(found)
    _section("where the time went (along the critical path)")
    _bars(found.parts, found.duration)
    if found.totals:
        _section("all work together, also what ran beside it")
        _bars(found.totals, max(1e-9, sum(found.totals.values())))
    _parallelism(found)
    _path(found)
    _steps(found)
    _bottlenecks(found)


def _header(found: Profile) -> None:
    state = f"{found.status}, so far" if found.live else found.status
    out.write(f"run {found.run_id} of {clean(found.workflow)}: {out.paint(clean(state), found.status)}\n")
    waited = f", after {_seconds(found.waited)} of waiting to start" if found.waited >= 0.05 else ""
    out.line(f"  took {_seconds(found.duration)}{waited}")
    if not found.profiled:
        out.line("  no samples of its containers: `enable_profiling: true` records them")


def _section(title: str) -> None:
    out.write(f"\n{out.paint(title, 'accent')}\n")


def _bars(parts: Mapping[str, float], whole: float) -> None:
    """One bar for each part, the largest first."""
    shown = sorted(((value, part) for part, value in parts.items() if value >= _LEAST), reverse=True)
    width = max((len(_PARTS[part]) for _, part in shown), default=0)
    for seconds, part in shown:
        share = min(1.0, seconds / whole) if whole > 0.0 else 0.0
        length = max(1, round(share * _BAR))
        bar = out.paint("█" * length, _INKS.get(part, "running")) + "·" * (_BAR - length)
        out.write(f"  {_PARTS[part]:<{width}}  {bar}  {_seconds(seconds):>7}  {_percent(share):>5}\n")
    if not shown:
        out.line("  nothing that took time")


def _parallelism(found: Profile) -> None:
    at_once = found.parallelism
    if not at_once.over_time or not at_once.peak:
        return
    of = f" of {at_once.slots}" if at_once.slots is not None else ""
    _section(f"tasks at a time: {at_once.mean:.1f} on average, {at_once.peak}{of} at the most")
    top = float(at_once.peak)
    marks = (_BLOCKS[min(8, -int(-8 * count / top // 1))] for count in at_once.over_time)
    out.write(f"  {out.paint(''.join(marks), 'running')}\n")
    full = f", all slots taken for {_seconds(at_once.full)}" if at_once.full >= 0.05 else ""
    out.line(f"  nothing in progress for {_seconds(at_once.idle)}{full}")


def _path(found: Profile) -> None:
    """The chain that decided the end, one row for each link of it."""
    links = [link for link in found.path if link.seconds >= _LEAST]
    if not links:
        return
    _section("critical path: each began when the one before had ended")
    shown = _longest(links, _LINKS_SHOWN)
    rows = [
        (_seconds(link.begin), _seconds(link.seconds), _name(found, link), _mix(link.parts)) for link in shown
    ]
    print_table(("AT", "TOOK", "WHAT", "OF THAT"), rows, widest=30)
    if len(links) > len(shown):
        rest = sum(link.seconds for link in links) - sum(link.seconds for link in shown)
        out.line(f"  … {counted(len(links) - len(shown), 'shorter link')}, {_seconds(rest)} together")


def _longest(links: Sequence[Link], most: int) -> list[Link]:
    """The longest ones, in their order."""
    least = sorted((link.seconds for link in links), reverse=True)[:most][-1]
    return [link for link in links if link.seconds >= least][:most]


def _name(found: Profile, link: Link) -> str:
    if link.step_id is None:
        return "(the engine)"
    again = f" #{link.attempt}" if link.attempt is not None and link.attempt > 1 else ""
    return f"{'' if link.run_id == found.run_id else '↳ '}{label(link.step_id, link.item)}{again}"


def _mix(parts: Mapping[str, float]) -> str:
    """The parts of a link, the largest first."""
    ordered = sorted(parts.items(), key=lambda one: -one[1])
    told = [f"{_SHORT.get(part, part)} {_seconds(seconds)}" for part, seconds in ordered if seconds >= _LEAST]
    return ", ".join(told[:2]) + (", …" if len(told) > 2 else "")


def _steps(found: Profile) -> None:
    """The steps that did most of what decided the end."""
    steps = sorted((step for step in found.steps if step.wall >= _LEAST), key=_weight, reverse=True)
    if not steps:
        return
    _section("slowest steps")
    rows = [
        (
            f"{'' if step.run_id == found.run_id else '↳ '}{label(step.id, None)}",
            _seconds(step.wall),
            _seconds(step.critical),
            _seconds(step.dependencies),
            _mix(step.parts),
        )
        for step in steps[:_STEPS_SHOWN]
    ]
    print_table(("STEP", "TOOK", "CRITICAL", "WAITED", "ALL ITS WORK"), rows, widest=24)
    if len(steps) > _STEPS_SHOWN:
        out.line(f"  … {counted(len(steps) - _STEPS_SHOWN, 'more step')}")


def _weight(step: StepProfile) -> tuple[float, float]:
    return step.critical, step.wall


def _bottlenecks(found: Profile) -> None:
    if found.bottlenecks:
        _section("bottlenecks")
    for one in found.bottlenecks:
        mark = out.paint(f"{one.severity:<6}", _SEVERITIES[one.severity])
        out.write(f"  {mark}  {one.type}: {_cut(one.component)}, up to {_seconds(one.seconds)}\n")
        _wrapped(one.evidence, "          ")
    if found.recommendations:
        _section("what would help")
    for advice in found.recommendations:
        where = f"{_cut(advice.component)}: {clean(advice.setting)}"
        now = f" (now {clean(advice.present)})" if advice.present is not None else ""
        change = f"{out.paint(clean(advice.proposed), 'success')}{now}"
        fits = len(where) + len(advice.proposed) + len(now) <= _WIDTH - 4
        out.write(f"  {where}: {change}\n" if fits else f"  {where}:\n          {change}\n")
        _wrapped(advice.evidence, "          ")
    if not found.bottlenecks and not found.recommendations:
        _section("no bottlenecks found")


def _wrapped(text: str, indent: str) -> None:
    import textwrap

    for line in textwrap.wrap(clean(text), _WIDTH - len(indent)):
        out.line(f"{indent}{line}")


def _cut(name: str) -> str:
    """A name that leaves room for the rest of its line."""
    return fit(name, _NAME).rstrip() if len(name) > _NAME else clean(name)


def _seconds(value: float) -> str:
    """As `duration`, and what is short to the millisecond."""
    if value <= 0.0:
        return "0"
    return f"{1000 * value:.0f}ms" if value < 0.9995 else duration(value)


def _percent(share: float) -> str:
    return "<1 %" if 0.0 < share < 0.005 else f"{100 * share:.0f} %"
