"""The names under which everything stands in Redis (contract §3). Containers know them, too."""

from __future__ import annotations

KEEP_SECONDS = 3600
"""How long the keys of a task or a run outlive its end."""

SMALL_INPUT = 4096
"""Bytes of a task up to which `task:{id}`, too, outlives it."""

WORKFLOWS = "workflows:list"
AGENTS = "agents:list"
UPDATES = "workflow:updates"
METRICS_EVENTS = "metrics:events"

COMPLETIONS = "task:*:complete"
"""As a pattern: the channels of all tasks. Literally: one channel, where every completion is told again."""

COMPLETED = "completed"
ERROR = "error"


def document(run_id: str) -> str:
    """The run as one JSON document."""
    return f"workflow:{run_id}"


def metrics(run_id: str) -> str:
    """The run's metrics as one JSON document."""
    return f"metrics:workflow:{run_id}"


def state(run_id: str) -> str:
    """The hash of the shared state."""
    return f"workflow:{run_id}:state"


def state_list(run_id: str, name: str) -> str:
    """A list that tasks append to."""
    return f"workflow:{run_id}:state:list:{name}"


def state_set(run_id: str, name: str) -> str:
    """A set that tasks add to."""
    return f"workflow:{run_id}:state:set:{name}"


def tasks(run_id: str) -> str:
    """The list of the run's task ids."""
    return f"workflow:{run_id}:tasks"


def jobs(run_id: str) -> str:
    """The set of the run's agents."""
    return f"workflow:{run_id}:jobs"


def task(task_id: str) -> str:
    """A task's input record."""
    return f"task:{task_id}"


def result(task_id: str) -> str:
    """A task's result, JSON text."""
    return f"task:{task_id}:result"


def error(task_id: str) -> str:
    """A task's error, text."""
    return f"task:{task_id}:error"


def completion(task_id: str) -> str:
    """The channel on which a task's end is announced."""
    return f"task:{task_id}:complete"


def task_of_completion(channel: str) -> str:
    """The task that a completion channel belongs to."""
    return channel.removeprefix("task:").removesuffix(":complete")


def agent(agent_name: str) -> str:
    """The JSON document of an agent."""
    return f"agent:{agent_name}"


def collection_of(run_id: str, key: str) -> str | None:
    """The name of a list or set of the run's state from its key; None if the key is something else."""
    for prefix in (state_list(run_id, ""), state_set(run_id, "")):
        if key.startswith(prefix):
            return key[len(prefix) :]
    return None
