"""Where the Docker engine is, how it is dialled, and what to tell a person when it is not there."""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from docker import APIClient
from docker.context import ContextAPI
from docker.errors import DockerException
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env, parse_host

from engine.errors import UnavailableError

# Bytes that a stream holds before it stops reading from the engine, which then slows the container down.
_READ_AHEAD = 256 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens.

    Attributes:
        url: `unix:///path`, `tcp://host:port`, … as the person wrote it.
        origin: what said so, for messages: `DOCKER_HOST`, `docker context 'x'`, `the default socket`.
        tls: client certificates, if it wants any.
        version: of the API, once it is agreed on; empty for the engine's own.
    """

    url: str
    origin: str
    tls: TLSConfig | None = None
    version: str = ""

    def __str__(self) -> str:
        return f"{self.url} ({self.origin})"

    @property
    def parsed(self) -> str:
        """The SDK's normal form of it: `http+unix:///path`, `http://host:port`, `https://host:port`."""
        return str(parse_host(self.url, tls=self.tls is not None))

    @property
    def local(self) -> bool:
        """Whether the engine is on this machine, or in a virtual one on it."""
        parts = urlsplit(self.parsed)
        return parts.scheme == "http+unix" or parts.hostname in ("localhost", "127.0.0.1", "::1")

    @property
    def sockets(self) -> tuple[str, ...]:
        """The path of its socket, if it listens on one."""
        parts = urlsplit(self.parsed)
        return (parts.path,) if parts.scheme == "http+unix" else ()

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection of our own; `OSError` where nobody listens."""
        parts = urlsplit(self.parsed)
        if parts.scheme == "http+unix":
            return await asyncio.open_unix_connection(parts.path, limit=_READ_AHEAD)
        context = _ssl_context(self.tls) if self.tls and parts.scheme == "https" else None
        return await asyncio.open_connection(parts.hostname, parts.port, ssl=context, limit=_READ_AHEAD)


def find_address() -> Address:
    """The engine that the `docker` command would use: `DOCKER_HOST`, the current context, the default.

    Raises:
        UnavailableError: what is configured cannot be understood, or is of a kind that we do not speak.
    """
    try:
        address = _configured()
        scheme = urlsplit(address.parsed).scheme
    # The SDK raises bare exceptions for contexts that it cannot read.
    except Exception as error:
        raise UnavailableError(
            f"the Docker configuration cannot be used: {error}",
            hint="check DOCKER_HOST, DOCKER_CERT_PATH and `docker context ls`, or use --backend process",
        ) from None
    if scheme not in ("http+unix", "http", "https"):
        raise UnavailableError(
            f"the Docker engine at {address} is reached in a way that is not supported ({scheme})",
            hint="forward its socket (`ssh -NL ./docker.sock:/var/run/docker.sock HOST`) and set "
            "DOCKER_HOST=unix://$PWD/docker.sock",
        )
    return address


def _configured() -> Address:
    if os.environ.get("DOCKER_HOST"):
        found = kwargs_from_env()
        return Address(os.environ["DOCKER_HOST"], "DOCKER_HOST", found.get("tls") or None)
    context: Any = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT") or None)
    if context is None:
        raise DockerException(f"there is no docker context {os.environ.get('DOCKER_CONTEXT')!r}")
    if context.Name == "default" or not context.Host:
        return Address("unix:///var/run/docker.sock", "the default socket")
    return Address(context.Host, f"docker context {context.Name!r}", context.TLSConfig or None)


def _ssl_context(tls: TLSConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_cert or None)
    if tls.verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert:
        context.load_cert_chain(*tls.cert)
    return context


async def check_reachable(address: Address, deadline: float) -> None:
    """Dial once and hang up, to find out plainly why an engine is not there.

    Raises:
        UnavailableError: says which address was tried, why it failed and what to do.
    """
    try:
        async with asyncio.timeout(deadline):
            _, writer = await address.dial()
    except TimeoutError:
        raise _unavailable(address, f"nothing answered within {deadline:g} s") from None
    except FileNotFoundError:
        raise _unavailable(address, "there is no such socket") from None
    except PermissionError:
        raise UnavailableError(
            f"the Docker engine at {address} refuses this user: permission denied",
            hint="add yourself to the group `docker` and log in again, or use --backend process",
        ) from None
    except ConnectionRefusedError:
        raise _unavailable(address, "nobody listens there") from None
    except (OSError, ValueError) as error:
        raise _unavailable(address, str(error)) from None
    writer.close()


def make_client(address: Address, *, timeout: float, connections: int) -> Any:
    """An SDK client; blocks for one request, which agrees on the API version.

    Typed `Any` because the SDK's stubs cover only part of it.

    Raises:
        UnavailableError: something answered, but not as a Docker engine does.
    """
    try:
        client = APIClient(
            base_url=address.url,
            tls=address.tls or False,
            version="auto",
            timeout=int(timeout),
            max_pool_size=connections,
        )
    except (DockerException, OSError, ValueError) as error:
        raise _unavailable(address, str(error)) from None
    # Looking for proxies and .netrc costs more than the requests themselves.
    client.trust_env = False
    return client


def _unavailable(address: Address, why: str) -> UnavailableError:
    return UnavailableError(
        f"no Docker engine at {address}: {why}",
        hint="start Docker, or set DOCKER_HOST to where it is, or use --backend process",
    )
