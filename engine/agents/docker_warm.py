"""Who makes warm agents in Docker, by the fastest way that an image allows."""

from __future__ import annotations

import logging
from collections.abc import Callable

from engine.agents.backend import AgentSpec
from engine.agents.docker import DockerBackend
from engine.agents.docker_exec import ExecAgent
from engine.agents.docker_resident import ImageConfig
from engine.agents.docker_shell import ShellAgent
from engine.agents.warm import UnfitError

_log = logging.getLogger("agentainer")

_Way = Callable[[DockerBackend, str, ImageConfig], ShellAgent | ExecAgent]


def _shell(path: str) -> _Way:
    return lambda backend, name, image: ShellAgent(backend, name, image, path)


def _exec(python: str) -> _Way:
    return lambda backend, name, image: ExecAgent(backend, name, image, python)


# The faster and the likelier first.
_WAYS = (_shell("/bin/sh"), _shell("/busybox/sh"), _exec("python3"), _exec("python"))


class DockerWarmMaker:
    """Makes warm agents on an engine; see `WarmMaker`.

    Which way an image allows is found out by trying, once.
    """

    def __init__(self, backend: DockerBackend) -> None:
        self._backend = backend
        self._images: dict[str, ImageConfig] = {}
        self._ways: dict[str, _Way] = {}

    async def make(self, spec: AgentSpec, name: str) -> ShellAgent | ExecAgent:
        """See `WarmMaker`."""
        assert spec.image is not None, "checked when the task was prepared"
        digest = spec.image
        image = await self._image(digest)
        known = self._ways.get(digest)
        why: list[str] = []
        for way in (known,) if known else _WAYS:
            agent = way(self._backend, name, image)
            try:
                await agent.open(spec)
            except UnfitError as error:
                why.append(str(error))
                continue
            self._ways[digest] = way
            return agent
        _log.info("no warm agents of %s: %s", digest, "; ".join(why))
        raise UnfitError("the image has neither a usable shell nor Python")

    async def _image(self, digest: str) -> ImageConfig:
        if digest not in self._images:
            found = await self._backend.link.calls(f"look at the image {digest}", "inspect_image", digest)
            self._images[digest] = ImageConfig.of(found)
        return self._images[digest]
