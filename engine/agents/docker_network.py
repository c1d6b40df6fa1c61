"""The network that agents share, made once however many engines start at the same time."""

from __future__ import annotations

import socket
from typing import Any

from engine.agents.docker_calls import Calls, EngineRefusedError
from engine.agents.docker_spec import NETWORK
from engine.errors import BackendError, Reason


async def ensure_network(calls: Calls, *, subnet: str = "") -> dict[str, str]:
    """Make sure that there is exactly one network of our name.

    Args:
        calls: to the engine.
        subnet: the address range that it must have, if it has to be made: services are bound to its gateway
            already. Empty: the engine chooses.

    Returns:
        Its `Subnet` and `Gateway`.

    Raises:
        BackendError: it could not be made.
    """
    found = await _ours(calls)
    if not found:
        mine = await _create(calls, subnet)
        found = await _ours(calls)
        if mine and len(found) > 1 and found[0]["Id"] != mine:
            # Two engines made one at the same moment, which Docker allows: the later one goes.
            await _remove(calls, mine)
        if not found:
            raise BackendError(
                Reason.INFRA_ERROR, f"the network {NETWORK} vanished while it was made", transient=True
            )
    blocks = found[0].get("IPAM", {}).get("Config") or [{}]
    return {key: str(value) for key, value in blocks[0].items()}


async def _ours(calls: Calls) -> list[dict[str, Any]]:
    """All networks of our name, the oldest first; everybody who looks agrees on which that is."""
    networks = await calls("look for our network", "networks", names=[NETWORK])
    exact = [network for network in networks if network["Name"] == NETWORK]
    return sorted(exact, key=lambda network: (network["Created"], network["Id"]))


async def _create(calls: Calls, subnet: str) -> str:
    """Returns the new network's id, or "" if another engine was faster."""
    ipam = {"Driver": "default", "Config": [{"Subnet": subnet}]} if subnet else None
    try:
        made = await calls(
            f"make the network {NETWORK}", "create_network", NETWORK, driver="bridge", ipam=ipam,
            check_duplicate=True, labels={"agentainer.network": "1"},
        )  # fmt: skip
    except EngineRefusedError as error:
        if error.status == 409:
            return ""
        if "address pool" in error.words:
            raise BackendError(
                Reason.INFRA_ERROR,
                f"the network {NETWORK} could not be made: {error.words}",
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
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
