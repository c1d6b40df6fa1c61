"""A Redis server that someone else runs, given by URL. Others may use it, so only what is ours is touched."""

from __future__ import annotations

import ipaddress

from engine.errors import UnavailableError
from engine.state.link import Address, CommandError, Link, LinkLostError, PushHandler
from engine.state.server import OLDEST

_CONNECT_SECONDS = 5.0


class OutsideServer:
    """The server at a URL.

    Attributes:
        gateway: the address of this machine that containers reach, None if there is none.
        shared: whether others use it, too.
    """

    shared = True

    def __init__(self, url: str) -> None:
        self.address = Address.parse(url)
        self.gateway: str | None = None
        self._name = "Redis"

    def describe(self) -> str:
        """For people: what it is and where."""
        return f"{self._name} at {self.address.place}"

    def host_for(self, *, containerised: bool) -> str:
        """Under which name a task reaches it."""
        if containerised and _is_loopback(self.address.host):
            return self.gateway or "host.docker.internal"
        return self.address.host

    def set_gateway(self, gateway: str | None) -> None:
        """Take note of the address by which containers reach this machine."""
        self.gateway = gateway

    async def bind(self, link: Link) -> None:
        """Where it listens is not ours to say."""

    async def connect(self, on_push: PushHandler) -> Link:
        """A connection to it.

        Raises:
            UnavailableError: it does not answer, refuses us, or is too old.
        """
        place = self.address.place
        try:
            link = await Link.connect(self.address, on_push, timeout=_CONNECT_SECONDS)
        except LinkLostError as error:
            raise UnavailableError(
                f"no Redis answers at {error}", hint="check the setting redis_url, and that the server runs"
            ) from error
        except CommandError as error:
            raise UnavailableError(
                f"Redis at {place} refuses the login: {error}",
                hint="check user and password in redis_url; the server must be version 6.2 or later",
            ) from error
        if link.version < OLDEST:
            link.abort()
            found, oldest = (".".join(map(str, version)) for version in (link.version, OLDEST))
            raise UnavailableError(
                f"Redis at {place} is version {found}, {oldest} or later is needed",
                hint="without redis_url, a server of our own is started",
            )
        if link.mode == "cluster":
            link.abort()
            raise UnavailableError(
                f"Redis at {place} is a cluster, which spreads the keys of a run over several servers",
                hint="give the address of a single server; without redis_url, one of our own is started",
            )
        self._name = f"{link.server.capitalize()} {'.'.join(map(str, link.version))}"
        return link

    async def stop_script(self, link: Link) -> None:
        """Scripts may be anyone's here: wait until they end."""

    async def abandon(self, link: Link | None) -> None:
        """Opening has failed: let go of it."""
        await self.close(link)

    async def close(self, link: Link | None) -> None:
        """Let go of it; it goes on."""
        if link is not None:
            link.abort()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
