"""What the parts of the Docker backend share of one engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.agents.docker_calls import Calls, Deadlines
from engine.agents.docker_connection import Address
from engine.agents.docker_images import Images
from engine.agents.docker_spec import Traits

if TYPE_CHECKING:
    from engine.agents.docker_container import Container


@dataclass(slots=True)
class EngineLink:
    """What every container needs of the engine it is on.

    Attributes:
        instance: this home's id.
        calls, address, deadlines, images: ways to the engine.
        traits: what all containers have in common.
        starts: bounds the starts at one time.
        interruptions: how often the event stream broke.
        restore_network: makes our network anew after somebody removed it.
        by_id: the containers that events are for.
    """

    instance: str
    calls: Calls
    address: Address
    deadlines: Deadlines
    images: Images
    traits: Traits
    starts: asyncio.Semaphore
    interruptions: Callable[[], int]
    restore_network: Callable[[], Awaitable[None]]
    by_id: dict[str, Container] = field(default_factory=dict)
