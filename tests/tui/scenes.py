"""Workflows and runs that several tests look at."""

from __future__ import annotations

from agentainer_tui.client import WorkflowEntry
from engine.errors import Problem
from engine.events import EventType
from engine.facade import AttemptRecord, KeptAgent, ParamSpec
from tests.tui.story import Story, node

HELLO = WorkflowEntry("/w/hello.yaml", "hello", "Says hello.", ("hi",))
COUNT = WorkflowEntry(
    "/w/count.yaml",
    "count",
    "Counts words.",
    ("list", "count", "sum"),
    (
        ParamSpec("image", "string", "python:3.12-alpine", description="The image of every step."),
        ParamSpec("limit", "integer", 3),
        ParamSpec("mode", "string", "fast", choices=("fast", "thorough")),
        ParamSpec("topic", "string", required=True),
    ),
)
BROKEN = WorkflowEntry(
    "/w/broken.yaml",
    "broken",
    problems=(Problem("/w/broken.yaml", 9, 5, "step `sum` depends on `prase`: did you mean `parse`?"),),
    runnable=False,
)


def counting(run_id: str = "a1b2c3d4e5f6", first_seq: int = 1000, workflow: str = "count") -> Story:
    """A run in progress: one step done, a map with every kind of item, one step that waits."""
    story = Story(run_id, first_seq=first_seq)
    story.create(
        [
            node("list", name="List files"),
            node("count", "list", name="Count words", type="map", max_attempts=3, max_concurrency=4),
            node("sum", "count", name="Add up", type="reduce"),
        ],
        workflow=workflow,
        params={"limit": 2, "topic": "whales"},
    )
    story.tick(0.1).start()
    story.run_step("list", 1.0, changes={"set": {"files": ["a.txt", "b.txt"]}}, result={"files": 2})
    story.step_start("count").expand("count", ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "f.txt"])
    story.run_step("count", 1.0, item=0, result=120)
    story.step_start("count", 1).attempt("count", 1, 1)
    story.step_start("count", 2).attempt("count", 1, 2).tick(0.5)
    story.attempt_end("count", 1, 2, status="failed", reason="task_failed", exit_code=3, error="no disk")
    story.retry("count", 60.0, 2, error="no disk")
    story.step_start("count", 3).attempt("count", 1, 3).tick(0.5)
    story.attempt_end("count", 1, 3, status="failed", reason="task_failed", exit_code=4, error="bad file")
    story.step_end("count", "failed", 3, reason="task_failed", exit_code=4, error="bad file")
    story.say(EventType.STEP_WAITING, "count", 4, why="slot")
    return story


def failed(run_id: str = "bad0bad0bad0", first_seq: int = 500, workflow: str = "hello") -> Story:
    """A run that is over: two steps done, one failed at its second try, one never reached."""
    story = Story(run_id, first_seq=first_seq)
    story.create(
        [node("get"), node("check", "get"), node("send", "get", max_attempts=2), node("tell", "send")],
        workflow=workflow,
    )
    story.start().run_step("get", 0.5, changes={"set": {"x": 1}}).run_step("check", 0.3)
    story.step_start("send").attempt("send").tick(1)
    story.attempt_end("send", status="failed", reason="task_failed", exit_code=7, error="refused")
    story.retry("send", 1, error="refused").tick(1).step_start("send").attempt("send", 2).tick(1)
    story.attempt_end(
        "send", 2, status="failed", reason="task_failed", exit_code=7, kept=True, error="refused"
    )
    story.step_end("send", "failed", reason="task_failed", exit_code=7, error="refused by the server")
    story.step_end("tell", "skipped", reason="upstream_failed")
    return story.finish("failed", reason="task_failed", error="step `send` failed")


def finished(run_id: str, first_seq: int, workflow: str = "hello") -> Story:
    """A short run that went well."""
    story = Story(run_id, first_seq=first_seq).create([node("hi", name="Say hello")], workflow=workflow)
    return story.start().run_step("hi", 0.3, result="hello").finish()


def kept(name: str, run_id: str = "bad0bad0bad0", size: int | None = 2 << 20) -> KeptAgent:
    """An agent that was kept."""
    attempt = AttemptRecord(run_id, "send", None, 2, "failed", "task-1", name, "process", "x.log", kept=True)
    return KeptAgent(attempt, "hello", "exited", size)
