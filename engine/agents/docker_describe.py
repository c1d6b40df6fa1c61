"""A container as a person wants to read of it: all that the engine tells, but nothing that may be secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.agents.docker_actions import inspect
from engine.agents.docker_calls import Calls, EngineRefusedError

# What a command was put together from may be secret, and so may what a health check said.
_COMMANDS = ("Cmd", "Entrypoint", "Healthcheck")
_PRIVATE = ("Path", "Args")
# Of no use to anybody, and long.
_NOISE = (
    *("ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "GraphDriver", "MaskedPaths"),
    *("ReadonlyPaths", "ExecIDs", "AppArmorProfile", "MountLabel", "ProcessLabel"),
)


async def describe(calls: Calls, name: str) -> dict[str, Any] | None:
    """The container and its image; None if there is no such container.

    Raises:
        BackendError: the engine does not answer.
    """
    found = await inspect(calls, name)
    return description(found, await _image(calls, found)) if found is not None else None


async def _image(calls: Calls, found: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        image: dict[str, Any] = await calls("look at its image", "inspect_image", found["Image"])
    except EngineRefusedError as error:
        if error.status == 404:
            return {}
        raise
    return image


def description(found: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    """The engine's answers about a container and its image, sorted and cleared of what may be secret."""
    config, host = _without(found["Config"], _COMMANDS), _without(found["HostConfig"], _NOISE)
    state = found["State"]
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    rest = {
        key: value
        for key, value in found.items()
        if key not in (*_NOISE, *_PRIVATE, "Config", "HostConfig", "State", "NetworkSettings", "Mounts")
    }
    return {
        "state": {
            "status": state["Status"],
            "exit_code": state.get("ExitCode"),
            "oom_killed": state.get("OOMKilled"),
            "error": state.get("Error") or None,
            "pid": state.get("Pid"),
            "started_at": state.get("StartedAt"),
            "finished_at": state.get("FinishedAt"),
            "health": (state.get("Health") or {}).get("Status"),
        },
        "image": {
            "id": found["Image"],
            "digests": image.get("RepoDigests") or [],
            "created": image.get("Created"),
            "size": image.get("Size"),
        },
        "networks": {name: (each or {}).get("IPAddress") or "" for name, each in networks.items()},
        "mounts": found.get("Mounts") or [],
        "container": rest,
        # Of the variables only their names.
        "config": {**config, "Env": [text.partition("=")[0] for text in config.get("Env") or ()]},
        "host_config": {
            key: value for key, value in host.items() if value not in (None, "", [], {}, 0, False)
        },
    }


def _without(answer: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key not in keys}
