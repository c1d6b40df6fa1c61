"""The network that agents share, made once however many engines start at the same time."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from engine.agents.docker_calls import Calls, EngineRefusedError
from engine.errors import BackendError, Reason


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
    found = await _named(calls, name)
    if not found:
        mine = await _create(calls, name, block)
        found = await _named(calls, name)
        if mine and len(found) > 1 and found[0]["Id"] != mine:
            # Two engines made one at the same moment, which Docker allows: the later one goes.
            await _remove(calls, mine)
        if not found:
            raise BackendError(
                Reason.INFRA_ERROR, f"the network {name} vanished while it was made", transient=True
            )
    blocks = found[0].get("IPAM", {}).get("Config") or [{}]
    return Block(blocks[0].get("Subnet", ""), blocks[0].get("Gateway", ""))


async def _named(calls: Calls, name: str) -> list[dict[str, Any]]:
    """All networks of that name, the oldest first; everybody who looks agrees on which that is."""
    networks = await calls("look for our network", "networks", names=[name])
    exact = [network for network in networks if network["Name"] == name]
    return sorted(exact, key=lambda network: (network["Created"], network["Id"]))


async def _create(calls: Calls, name: str, block: Block) -> str:
    """Returns the new network's id, or "" if another engine was faster."""
    config = [{"Subnet": block.subnet, "Gateway": block.gateway}]
    ipam = {"Driver": "default", "Config": config} if block.subnet else None
    try:
        made = await calls(
            f"make the network {name}",
            "create_network",
            name,
            driver="bridge",
            ipam=ipam,
            check_duplicate=True,
            labels={"agentainer.network": "1"},
        )
    except EngineRefusedError as error:
        if error.status == 409:
            return ""
        if "address pool" in error.words:
            raise BackendError(
                Reason.INFRA_ERROR,
                f"the network {name} could not be made: {error.words}",
                transient=True,
                hint="`docker network prune` removes networks that nothing uses",
            ) from None
        raise
    return str(made["Id"])


async def _remove(calls: Calls, network_id: str) -> None:
    try:
        await calls("remove a duplicate of our network", "remove_network", network_id)
    except EngineRefusedError as error:
        if error.status != 404:
            raise


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
