"""The parts of a workflow document that say how steps are tried, bounded, pooled, mounted and scheduled."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.errors import Reason
from engine.workflows.fields import (
    Boolean,
    EnvironmentName,
    Identifier,
    Json,
    Reads,
    Text,
    choice,
    integer,
    list_of,
    problem,
    word,
    wrong,
)
from engine.workflows.plan import Backoff, Jitter, Missed, Overlap
from engine.workflows.quantities import Cpus, Duration, Memory
from engine.workflows.tree import Scalar, Table, is_null

MAX_WORKERS = 10_000

RETRYABLE = tuple(
    reason.value
    for reason in (
        Reason.TASK_FAILED,
        Reason.TIMED_OUT,
        Reason.OOM_KILLED,
        Reason.START_FAILED,
        Reason.BAD_RESULT,
        Reason.IMAGE_ERROR,
        Reason.INFRA_ERROR,
        Reason.LOST,
        Reason.SUB_WORKFLOW_FAILED,
    )
)


def short_for(key: str) -> Reads:
    """A plain value instead of a mapping stands for the mapping with `key` alone."""

    def read(node: Any) -> object:
        if not isinstance(node, Scalar) or is_null(node):
            return node
        table = Table(node.position)
        table.put(key, node, node.position)
        return table

    return Reads(read, short={"type": "string", "minLength": 1})


class Part(BaseModel):
    """Base of all parts of a document: no unknown keys, never changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class RetryDocument(Part):
    """When and how often a failed attempt is tried again."""

    max_attempts: Annotated[int, integer(1, 1000, "it counts the first try, so 1 means no retry")] = Field(
        1, description="tries in all, the first one included"
    )
    backoff: Annotated[Backoff, choice(Backoff)] = Field(
        Backoff.CONSTANT, description="how the delay grows with the failures so far: d, d*k or d*2^(k-1)"
    )
    delay: Duration = Field(5.0, description="the delay d after the first failure")
    max_delay: Duration | None = Field(None, description="no delay is longer than this")
    jitter: Annotated[Jitter, choice(Jitter)] = Field(
        Jitter.NONE, description="randomness of a delay x: none = x, full = 0 to x, equal = x/2 to x"
    )
    retry_on: Annotated[list[Annotated[str, word(*RETRYABLE)]], list_of({"enum": list(RETRYABLE)})] | None = (
        Field(
            None,
            description="only failures for these reasons are tried again; default: all that a retry can mend",
        )
    )
    exit_codes: list[Annotated[int, integer(0, 255)]] | None = Field(
        None, description="only failures with these exit codes are tried again"
    )


class LimitsDocument(Part):
    """Resource limits of one agent."""

    cpu_limit: Cpus | None = Field(None, description='nano-CPUs (500000000) or CPUs ("0.5")')
    memory_limit: Memory | None = Field(None, description='bytes or a size such as "256Mi"')
    gpu_limit: Annotated[int, integer(0, 64)] | None = Field(None, description="number of GPUs")


class PoolDocument(Part):
    """Warm agents kept for a step."""

    min_size: Annotated[int, integer(0, 1000)] = Field(0, description="agents kept ready")
    max_size: Annotated[int, integer(1, 1000)] | None = Field(None, description="agents at most")
    idle_timeout: Duration = Field(
        300.0, description="an agent beyond min_size that is idle so long is removed"
    )
    max_agent_uses: Annotated[int, integer(0, 10**9, "0 means no limit")] = Field(
        0, description="tasks after which an agent is replaced; 0 = no limit"
    )
    warm_up: Boolean = Field(False, description="start min_size agents before they are needed")

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if self.max_size is not None and self.max_size < self.min_size:
            raise problem(
                f"found {self.max_size}, but min_size is {self.min_size}: expected at least that",
                field="max_size",
            )
        return self


class CacheDocument(Part):
    """Reuse of the result of the same work, done before."""

    key: Text | None = Field(
        None, description="what makes work the same; default: image, command, environment and input"
    )
    max_age: Duration | None = Field(None, description="results older than this are not reused")


def _short_cache(node: Any) -> object:
    """`cache: true` is a cache with the default key, `cache: false` none."""
    if isinstance(node, Table):
        return node
    if isinstance(node, Scalar) and node.plain and node.text in ("true", "false"):
        return Table(node.position) if node.text == "true" else None
    raise wrong(node, "true, false, or a mapping with `key` and `max_age`")


Cache = Annotated[CacheDocument | None, Reads(_short_cache, short={"type": "boolean"})]


class ApprovalDocument(Part):
    """A gate that a person opens."""

    message: Text = Field("Go on?", description="what is asked; may hold templates")
    default: Annotated[str, word("approve", "reject")] | None = Field(
        None, description="the answer when the step's timeout is over; default: the step fails"
    )


class SecretDocument(Part):
    """A secret; a plain name instead of a mapping is the name of both variables."""

    name: EnvironmentName = Field(description="the variable in which the tasks find it")
    env: EnvironmentName | None = Field(None, description="the variable it is taken from; default: its name")
    file: Text | None = Field(None, description="a file that holds it, readable by its owner only")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.env is not None and self.file is not None:
            raise problem("has both `env` and `file`: keep one of the two", field="file")
        return self


Secret = Annotated[SecretDocument, short_for("name")]


class ScheduleDocument(Part):
    """When runs start by themselves; a plain text instead of a mapping is the cron expression."""

    cron: Text = Field(description="five fields: minute, hour, day of month, month, day of week")
    timezone: Text = Field("UTC", description="IANA name such as Europe/Berlin, or local")
    overlap: Annotated[Overlap, choice(Overlap)] = Field(
        Overlap.SKIP, description="what happens while an earlier run of the schedule is still going on"
    )
    missed: Annotated[Missed, choice(Missed)] = Field(
        Missed.SKIP, description="what becomes of the times at which no engine was up"
    )
    params: dict[Identifier, Json] = Field(default_factory=dict, description="params of the runs")


Schedule = Annotated[ScheduleDocument, short_for("cron")]


class VolumeDocument(Part):
    """Something mounted into the container; `source:target[:ro]` as one text is the short form."""

    source: Text = Field(description="a host path, relative to the document; or the name of a volume")
    target: Text = Field(description="an absolute path in the container")
    read_only: Boolean = Field(False, description="whether the task cannot write there")


def _short_volume(node: Any) -> object:
    if not isinstance(node, Scalar) or is_null(node):
        return node
    source, colon, rest = node.text.partition(":")
    target, _, mode = rest.partition(":")
    if not (source and colon and target) or mode not in ("", "ro", "rw"):
        raise wrong(node, "`source:target`, `source:target:ro`, or a mapping with `source` and `target`")
    table = Table(node.position)
    for key, text in (("source", source), ("target", target), ("read_only", str(mode == "ro").lower())):
        table.put(key, Scalar(text, plain=key == "read_only", position=node.position), node.position)
    return table


Volume = Annotated[
    VolumeDocument, Reads(_short_volume, short={"type": "string", "pattern": "^[^:]+:[^:]+(:(ro|rw))?$"})
]


class ArtifactDocument(Part):
    """A file or directory that is kept when the task has ended; a plain path is the short form."""

    path: Text = Field(description="in the container; relative to its working directory")
    name: Text | None = Field(None, description="what it is called; default: the last part of the path")
    optional: Boolean = Field(False, description="whether the task may leave it out")


Artifact = Annotated[ArtifactDocument, short_for("path")]
