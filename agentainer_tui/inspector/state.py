"""The shared state around a step: what it changed, and all of it."""

from __future__ import annotations

from agentainer_tui.inspector.entries import Delta, Entry
from agentainer_tui.inspector.words import BLANK, say
from agentainer_tui.views import ItemView, RunView, StepView


def state_entries(run: RunView, step: StepView, item: ItemView | None, change: Delta | None) -> list[Entry]:
    """The tab State; `change` is what the step did, None while that is not known."""
    entries: list[Entry] = []
    if item is not None:
        entries += [
            say("Items share the state of their step; it changes when the step ends.", "muted"),
            BLANK,
        ]
    if step.finished_seq and change is not None:
        if any(part.mark != "=" for part in change.parts):
            entries.append(Entry(change, label="Changed by this step", base="$"))
        else:
            entries.append(say("This step changed nothing."))
    elif step.finished_seq:
        entries.append(say("Reading the state before it…", "muted"))
    else:
        entries.append(say("It is not over: what it changes is known at its end.", "muted"))
    entries.append(BLANK)
    if not run.state:
        return [*entries, say("The shared state of the run is empty.", "muted")]
    when = "State of the run at its end" if run.status.is_terminal else "State of the run now"
    return [*entries, Entry(dict(run.state), label=when, base="$")]
