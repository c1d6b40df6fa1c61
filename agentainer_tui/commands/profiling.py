"""`profile`: where the time of a run went, what held it up, and what to do about it."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentainer_tui.commands.console import err, out, print_json, print_table
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.commands.runs import read
from agentainer_tui.profile_words import (
    LEAST,
    PARTS,
    SEVERITIES,
    exact,
    link_words,
    mix,
    place_words,
    share_words,
    weight,
)
from agentainer_tui.text import clean, counted, fit
from engine.errors import UsageError
from engine.profiling import Link, Profile, chrome_trace, profile_run, speedscope

_INKS = {"run": "success", "other": "faint", "cleanup": "faint", "approval": "warning", "delay": "warning"}
_WIDTH = 78
_NAME = 42
_BAR = 30
_LINKS_SHOWN = 20
_STEPS_SHOWN = 10
_BLOCKS = " ▁▂▃▄▅▆▇█"


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
    waited = f", after {exact(found.waited)} of waiting to start" if found.waited >= 0.05 else ""
    out.line(f"  took {exact(found.duration)}{waited}")
    if not found.profiled:
        out.line("  no samples of its containers: `enable_profiling: true` records them")


def _section(title: str) -> None:
    out.write(f"\n{out.paint(title, 'accent')}\n")


def _bars(parts: Mapping[str, float], whole: float) -> None:
    """One bar for each part, the largest first."""
    shown = sorted(((value, part) for part, value in parts.items() if value >= LEAST), reverse=True)
    width = max((len(PARTS[part]) for _, part in shown), default=0)
    for seconds, part in shown:
        share = min(1.0, seconds / whole) if whole > 0.0 else 0.0
        length = max(1, round(share * _BAR))
        bar = out.paint("█" * length, _INKS.get(part, "running")) + "·" * (_BAR - length)
        out.write(f"  {PARTS[part]:<{width}}  {bar}  {exact(seconds):>7}  {share_words(share):>5}\n")
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
    full = f", all slots taken for {exact(at_once.full)}" if at_once.full >= 0.05 else ""
    out.line(f"  nothing in progress for {exact(at_once.idle)}{full}")


def _path(found: Profile) -> None:
    """The chain that decided the end, one row for each link of it."""
    links = [link for link in found.path if link.seconds >= LEAST]
    if not links:
        return
    _section("critical path: each began when the one before had ended")
    shown = _longest(links, _LINKS_SHOWN)
    rows = [
        (exact(link.begin), exact(link.seconds), link_words(found, link), mix(link.parts)) for link in shown
    ]
    print_table(("AT", "TOOK", "WHAT", "OF THAT"), rows, widest=30)
    if len(links) > len(shown):
        rest = sum(link.seconds for link in links) - sum(link.seconds for link in shown)
        out.line(f"  … {counted(len(links) - len(shown), 'shorter link')}, {exact(rest)} together")


def _longest(links: Sequence[Link], most: int) -> list[Link]:
    """The longest ones, in their order."""
    least = sorted((link.seconds for link in links), reverse=True)[:most][-1]
    return [link for link in links if link.seconds >= least][:most]


def _steps(found: Profile) -> None:
    """The steps that did most of what decided the end."""
    steps = sorted((step for step in found.steps if step.wall >= LEAST), key=weight, reverse=True)
    if not steps:
        return
    _section("slowest steps")
    rows = [
        (
            f"{'' if step.run_id == found.run_id else '↳ '}{place_words(step.id, None)}",
            exact(step.wall),
            exact(step.critical),
            exact(step.dependencies),
            mix(step.parts),
        )
        for step in steps[:_STEPS_SHOWN]
    ]
    print_table(("STEP", "TOOK", "CRITICAL", "WAITED", "ALL ITS WORK"), rows, widest=24)
    if len(steps) > _STEPS_SHOWN:
        out.line(f"  … {counted(len(steps) - _STEPS_SHOWN, 'more step')}")


def _bottlenecks(found: Profile) -> None:
    if found.bottlenecks:
        _section("bottlenecks")
    for one in found.bottlenecks:
        mark = out.paint(f"{one.severity:<6}", SEVERITIES[one.severity])
        out.write(f"  {mark}  {one.type}: {_cut(one.component)}, up to {exact(one.seconds)}\n")
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
