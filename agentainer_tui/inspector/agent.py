"""The agent of the last attempt: what it is made with, where it is, what it used, what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentainer_tui.explain import reason_words
from agentainer_tui.inspector.entries import Entry
from agentainer_tui.inspector.words import BLANK, command_entries, fact, heading, say
from agentainer_tui.looks import Glyphs
from agentainer_tui.text import clean, precise, size
from agentainer_tui.views import AttemptView, ItemView, RunView, StepView

_MODES = {
    "shell": "run by its shell",
    "exec": "put into it as a process of its own",
    "cold": "in a container of its own after all",
}


@dataclass(frozen=True, slots=True)
class Described:
    """What the backend says of an agent now; `facts` None: there is none of that name any more."""

    name: str
    facts: Mapping[str, Any] | None = None


def agent_entries(
    run: RunView, step: StepView, item: ItemView | None, described: Described | None, glyphs: Glyphs
) -> list[Entry]:
    """The tab Agent; `described` is None while the backend has not been asked."""
    attempts = (item or step).attempts
    if not step.has_task and not step.sub_workflow:
        return [say("It runs no task itself and has no agent.", "muted")]
    if item is None and step.items:
        entries = [say("Each item has an agent of its own: select one. All are made with:", "muted"), BLANK]
        return [*entries, *_made_with(step, None, glyphs)]
    if not attempts:
        entries = [say("It has no agent yet. It will be made with:", "muted"), BLANK]
        return [*entries, *_made_with(step, None, glyphs)]
    attempt = attempts[-1]
    if attempt.child_run:
        return [say("It runs a workflow and has no agent itself.", "muted"), fact("run", attempt.child_run)]
    now = described.facts if described is not None and described.name == attempt.agent else None
    asked = described is not None and described.name == attempt.agent
    entries = [fact("agent", clean(attempt.agent)), _fate(attempt, now, asked=asked)]
    if attempt.agent_id not in ("", attempt.agent):
        entries.append(fact("id", clean(attempt.agent_id)))
    entries += [*_pool(attempt), *_made_with(step, attempt, glyphs, now)]
    entries += _end(attempt)
    entries += _used(attempt)
    if now:
        entries += [BLANK, Entry(dict(now), label=_heading(run, attempt), mark="=")]
    return entries


def _heading(run: RunView, attempt: AttemptView) -> str:
    return "docker inspect" if (attempt.backend or run.backend) == "docker" else "What the backend says of it"


def _fate(attempt: AttemptView, now: Mapping[str, Any] | None, *, asked: bool) -> Entry:
    state = (now or {}).get("state") or {}
    if now and state.get("status"):
        kept = "kept for inspection" if attempt.kept else ""
        return fact("state", clean(state["status"]), "warning" if attempt.kept else "text", kept)
    if attempt.removed_by:
        by = {"policy": "after its task", "cleanup": "by cleaning up", "recovery": "by a later engine"}
        return fact("state", "removed", "muted", by.get(attempt.removed_by, attempt.removed_by))
    if attempt.kept:
        return fact("state", "kept for inspection", "warning", "but it is gone" if asked else "")
    words = "over" if attempt.finished_at is not None else "running" if attempt.started_at else "being made"
    return fact("state", words)


def _pool(attempt: AttemptView) -> list[Entry]:
    place = attempt.placement
    if not attempt.pool and not place:
        return []
    entries = [fact("pool", clean(attempt.pool))] if attempt.pool else []
    if place:
        how = _MODES.get(str(place.get("mode")), clean(place.get("mode", "")))
        uses = f"its task number {place['uses']}" if place.get("uses") else ""
        entries.append(
            fact("placed on", clean(place.get("agent", "")), more=", ".join(filter(None, (how, uses))))
        )
        if place.get("why"):
            entries.append(fact("why", clean(place["why"])))
    return entries


def _made_with(
    step: StepView, attempt: AttemptView | None, glyphs: Glyphs, now: Mapping[str, Any] | None = None
) -> list[Entry]:
    spec, image = step.agent, (now or {}).get("image") or {}
    name = attempt.image if attempt is not None and attempt.image else step.image
    entries = [fact("image", clean(name))] if name else []
    image_id = image.get("id") or (attempt.image_id if attempt is not None else "")
    if image_id:
        entries.append(fact("image id", clean(image_id)))
    entries += [fact("digest", clean(each)) for each in image.get("digests") or ()]
    entries += command_entries(step.command)
    entries += [fact("user", clean(spec["user"]))] if spec.get("user") else []
    entries += [fact("directory", clean(spec["working_dir"]))] if spec.get("working_dir") else []
    addresses = (now or {}).get("networks") or {}
    if addresses:
        entries += [fact("network", clean(each), more=clean(ip)) for each, ip in addresses.items()]
    elif spec.get("network"):
        entries.append(fact("network", clean(spec["network"])))
    arrow = " -> " if glyphs.is_ascii else " → "
    for source, target, read_only in _mounts(spec, now):
        entries.append(fact("mount", f"{source}{arrow}{target}", more="read-only" if read_only else ""))
    limits = _limits(spec.get("limits") or {})
    entries += [fact("limits", limits)] if limits else []
    entries += (
        [fact("privileged", "has all rights on this machine", "warning")] if spec.get("privileged") else []
    )
    return entries


def _mounts(spec: Mapping[str, Any], now: Mapping[str, Any] | None) -> Iterator[tuple[str, str, bool]]:
    """Source, target and whether it is read-only: as they are if that is known, else as they are planned."""
    if mounted := (now or {}).get("mounts"):
        for each in mounted:
            yield clean(each.get("Source")), clean(each.get("Destination")), not each.get("RW", True)
        return
    for each in spec.get("volumes") or ():
        yield clean(each.get("source")), clean(each.get("target")), bool(each.get("read_only"))


def _limits(limits: Mapping[str, Any]) -> str:
    parts = []
    if limits.get("cpus"):
        parts.append(f"{limits['cpus']:g} CPUs")
    if limits.get("memory"):
        parts.append(f"{size(limits['memory'])} of memory")
    if limits.get("gpus"):
        parts.append(f"{limits['gpus']} GPUs")
    return ", ".join(parts)


def _end(attempt: AttemptView) -> list[Entry]:
    if attempt.finished_at is None:
        return []
    if attempt.reason == "oom_killed":
        words = "killed: it used more memory than its limit"
    else:
        words = reason_words(attempt.reason) if attempt.reason not in ("", "task_failed") else ""
    code = "not known" if attempt.exit_code is None else str(attempt.exit_code)
    return [fact("exit code", code, "text" if attempt.exit_code == 0 else "error", words)]


def _used(attempt: AttemptView) -> list[Entry]:
    used = attempt.usage
    rows = []
    if used.get("cpu_seconds") is not None:
        rows.append(fact("CPU time", precise(used["cpu_seconds"]) or "0s"))
    if used.get("memory_peak") is not None:
        rows.append(fact("memory", size(used["memory_peak"]), more="at most"))
    for name, taken, given, words in (
        ("network", "network_in", "network_out", ("received", "sent")),
        ("disk", "block_read", "block_write", ("read", "written")),
    ):
        parts = [
            f"{size(used[key])} {word}"
            for key, word in zip((taken, given), words, strict=True)
            if used.get(key) is not None
        ]
        rows += [fact(name, ", ".join(parts))] if parts else []
    if not rows:
        return []
    note = " (looked at now and then: it may have been more)" if used.get("sampled") else ""
    title = heading(f"Used{note}")
    return [*title, *rows]
