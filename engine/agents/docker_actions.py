"""Single steps of a container's life, with what the engine's odder answers to them mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.agents.backend import AgentSpec
from engine.agents.docker_calls import Calls, EngineRefusedError
from engine.agents.docker_spec import INSTANCE_LABEL, Traits, container_config, labels
from engine.errors import BackendError, Reason

NOT_FOUND = 127
NOT_EXECUTABLE = 126
# The engine's words for an entry point that is not there, or cannot be executed.
_WORDS_NOT_FOUND = ("executable file not found", "no such file or directory")
_WORDS_NOT_EXECUTABLE = ("permission denied", "exec format error", "is a directory")
_INIT_FAILED = b"[FATAL tini"
# Words for what the step asks for and the image or this machine does not have, and what to do about it.
_WORDS_INPUT = (
    (
        ("unable to find user", "unable to find group"),
        "check `user` against the image's users; numbers always work",
    ),
    (("uids and gids must be",), "correct `user`"),
    (
        ("error mounting", "invalid mount config", "invalid characters for a local volume"),
        "correct `volumes`",
    ),
    (("working directory", "cannot mkdir"), "correct `working_dir`"),
)
# How often an outdated container of the same name is replaced before giving up.
_TRIES = 3
# Between looks at a container that somebody else is removing, in seconds.
_REMOVAL_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Made:
    """A container that exists now; `found` is the engine's description of it if it did before."""

    id: str
    found: Mapping[str, Any] | None = None


async def make_container(
    calls: Calls, spec: AgentSpec, traits: Traits, *, late: Callable[[Any], None]
) -> Made:
    """Create the container, or take the one of that name if it is for the same attempt.

    A name is one attempt's alone, so what exists under it comes from an earlier call whose answer was lost,
    from an engine of this home that crashed, or from somebody else.

    Args:
        calls: to the engine.
        spec: what to make.
        traits: what all containers of this engine have in common.
        late: is given the engine's answer if it comes when nobody waits for it any more.

    Raises:
        BackendError: it cannot be made.
    """
    config = container_config(spec, traits)
    doing = f"create {spec.name}"
    for _ in range(_TRIES):
        try:
            made = await calls(doing, "create_container_from_config", config, spec.name, late=late)
            return Made(made["Id"])
        except EngineRefusedError as error:
            if error.status != 409:
                raise _create_error(spec, error) from None
        found = await inspect(calls, spec.name)
        if found is None:
            continue  # it was being removed
        written = found["Config"]["Labels"] or {}
        if all(written.get(key) == value for key, value in labels(spec, traits).items()):
            return Made(found["Id"], found)
        if written.get(INSTANCE_LABEL) != spec.identity.instance:
            raise BackendError(
                Reason.INFRA_ERROR,
                f"a container named {spec.name} exists, and it is not of this home",
                transient=False,
                hint=f"look at it with `docker inspect {spec.name}`; `docker rm -f {spec.name}` removes it",
            )
        await remove_container(calls, found["Id"])
    raise BackendError(
        Reason.INFRA_ERROR, f"{doing}: the name stays taken, whatever is removed", transient=True
    )


async def inspect(calls: Calls, name: str) -> dict[str, Any] | None:
    """The engine's description of a container, None if there is none."""
    try:
        found: dict[str, Any] = await calls(f"look at {name}", "inspect_container", name)
    except EngineRefusedError as error:
        if error.status == 404:
            return None
        raise
    return found


def _create_error(spec: AgentSpec, error: EngineRefusedError) -> BackendError:
    if error.status == 404 and "image" in error.words.lower():
        return BackendError(
            Reason.IMAGE_ERROR,
            f"the image {spec.image} was removed before its container was made: {error.words}",
            transient=True,
        )
    hint = _input_hint(error)
    if hint or error.status == 400:
        return BackendError(Reason.INPUT_ERROR, error.message, transient=False, hint=hint)
    return error


def _input_hint(error: EngineRefusedError) -> str:
    """What to do about it, if the engine refuses what the step asks for; else ""."""
    lower = error.words.lower()
    return next((hint for words, hint in _WORDS_INPUT if any(word in lower for word in words)), "")


def start_error(name: str, error: EngineRefusedError) -> tuple[BackendError, int | None]:
    """What a refused start comes to; with an exit code if the entry point could not be started."""
    lower = error.words.lower()
    if "could not select device driver" in lower:
        return (
            BackendError(
                Reason.INPUT_ERROR,
                f"the GPUs that the step asks for cannot be had: {error.words}",
                transient=False,
                hint="install the NVIDIA Container Toolkit, or remove gpu_limit",
            ),
            None,
        )
    if hint := _input_hint(error):
        return BackendError(Reason.INPUT_ERROR, error.message, transient=False, hint=hint), None
    code = None
    if "exec" in lower or "starting container process" in lower:
        if any(words in lower for words in _WORDS_NOT_FOUND):
            code = NOT_FOUND
        elif any(words in lower for words in _WORDS_NOT_EXECUTABLE):
            code = NOT_EXECUTABLE
    if code is None:
        return error, None
    return (
        BackendError(
            Reason.START_FAILED,
            f"{name} could not be started: {error.words}",
            transient=False,
            hint="check `command` against what the image contains",
        ),
        code,
    )


def init_failure(code: int, stderr_head: bytes) -> str:
    """The words of `docker-init` if it could not start the entry point, else nothing.

    With it as process 1 the container starts in any case, and its exit code alone does not tell a missing
    program from one that ended with 127 by itself.
    """
    if code not in (NOT_FOUND, NOT_EXECUTABLE) or not stderr_head.startswith(_INIT_FAILED):
        return ""
    first = stderr_head.splitlines()[0].decode("utf-8", errors="replace")
    return first.partition("] ")[2] or first


async def remove_container(calls: Calls, container_id: str, deadline: float = 30.0) -> None:
    """Remove it by force, with its anonymous volumes; nothing happens if it is gone.

    Args:
        calls: to the engine.
        container_id: its id.
        deadline: seconds for an engine that says that it is removing it already, or that it is busy.

    Raises:
        BackendError: it is still there.
    """
    doing = f"remove the container {container_id[:12]}"
    for _ in range(int(deadline / _REMOVAL_PAUSE)):
        try:
            await calls(doing, "remove_container", container_id, force=True, v=True)
            return
        except EngineRefusedError as error:
            if error.status == 404:
                return
            if error.status != 409 and "busy" not in error.words:
                raise
        await asyncio.sleep(_REMOVAL_PAUSE)
    raise BackendError(Reason.INFRA_ERROR, f"{doing}: the engine does not get it done", transient=True)
