"""The network that agents share, made once however many engines start at the same time."""

from __future__ import annotations

import asyncio
import hashlib
import shlex
import socket
from dataclasses import dataclass

from engine.agents.docker_calls import Calls, EngineRefusedError
from engine.errors import BackendError, Reason

_TRIES = 50
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Block:
    """The addresses of a network."""

    subnet: str = ""
    gateway: str = ""


async def ensure_network(calls: Calls, name: str, block: Block = Block()) -> Block:
    """Make sure that there is exactly one network of that name.

    Args:
        calls: to the engine.
        name: of the network.
        block: the addresses that it must have, if it has to be made: services are bound to its gateway
            already. Empty: the engine chooses.

    Returns:
        The addresses that it has.

    Raises:
        BackendError: it could not be made.
    """
    for _ in range(_TRIES):
        networks = await calls("look for our network", "networks", names=[name])
        for network in networks:
            if network["Name"] == name:  # the engine also gives those whose names only begin so
                blocks = network.get("IPAM", {}).get("Config") or [{}]
                return Block(blocks[0].get("Subnet", ""), blocks[0].get("Gateway", ""))
        if not await _create(calls, name, block):
            await asyncio.sleep(_PAUSE)  # another engine is making it
    raise BackendError(
        Reason.INFRA_ERROR,
        f"the network {name} can neither be found nor made",
        transient=True,
        hint=f"look at `docker network ls`; `docker network rm {name}` may help",
    )


async def _create(calls: Calls, name: str, block: Block) -> bool:
    """Returns False if another engine was faster.

    Docker makes two networks of one name when asked twice at the same moment; it never makes two bridges of
    one name, so the name of the bridge follows from that of the network.
    """
    bridge = "ag-" + hashlib.sha256(name.encode()).hexdigest()[:12]
    config = [{"Subnet": block.subnet, "Gateway": block.gateway}]
    try:
        await calls(
            f"make the network {name}",
            "create_network",
            name,
            driver="bridge",
            options={"com.docker.network.bridge.name": bridge},
            ipam={"Driver": "default", "Config": config} if block.subnet else None,
            check_duplicate=True,
            labels={"agentainer.network": "1"},
        )
    except EngineRefusedError as error:
        if error.status == 409 or "same bridge name" in error.words:
            return False
        if "address pool" in error.words:
            raise BackendError(
                Reason.INFRA_ERROR,
                f"the network {name} could not be made: {error.words}",
                transient=True,
                hint="`docker network prune` removes networks that nothing uses",
            ) from None
        raise
    return True


async def check_network(calls: Calls, name: str) -> None:
    """See that there is a network of that name.

    Raises:
        BackendError: there is none; says which there are.
    """
    networks = await calls("look for networks", "networks")
    known = sorted({network["Name"] for network in networks} - {"host", "none"})
    if name not in known:
        raise BackendError(
            Reason.INPUT_ERROR,
            f"there is no Docker network {name!r}; there are {', '.join(known)}",
            transient=False,
            hint=f"correct `network`, or run `docker network create {shlex.quote(name)}`",
        )


async def join(calls: Calls, container_id: str, network: str) -> None:
    """Let a container that has not been started join a network; joining it twice does nothing.

    Raises:
        EngineRefusedError: the container is gone. That the network is, is only noticed at the start.
        BackendError: it may not.
    """
    try:
        await calls(f"join the network {network}", "connect_container_to_network", container_id, network)
    except EngineRefusedError as error:
        if error.status == 404 or error.status >= 500:
            raise
        raise BackendError(
            Reason.INPUT_ERROR, error.message, transient=False, hint="correct `network`"
        ) from None


def bindable(address: str) -> bool:
    """Whether a service on this machine can listen there: with a virtual machine in between, it cannot."""
    if not address:
        return False
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
