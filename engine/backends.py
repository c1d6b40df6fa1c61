"""The backends of a home, and the id by which its agents are told from those of other homes.

Cheap to import: a backend's own libraries are loaded when one is made.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from engine.agents.backend import Backend, BackendFacts, Pools
from engine.errors import UnavailableError
from engine.settings import Settings


def make_backend(settings: Settings, name: str) -> Backend:
    """The backend `docker` or `process` of a home, not opened yet."""
    instance = instance_id(settings.home)
    if name == "docker":
        from engine.agents.docker import DockerBackend
        from engine.agents.docker_namespaces import Namespaces
        from engine.agents.docker_warm import DockerWarmMaker
        from engine.agents.pooled import PooledBackend

        home = str(settings.home.absolute())
        docker = DockerBackend(instance=instance, max_starts=settings.max_starts, home=home)
        return PooledBackend(docker, DockerWarmMaker(docker), Namespaces(docker))
    from engine.agents.process import ProcessBackend

    return ProcessBackend(home=settings.home, instance=instance)


def pools_of(backend: Backend) -> Pools | None:
    """The warm agents of a backend, None where it has none: local processes start fast enough."""
    from engine.agents.pooled import PooledBackend

    return backend if isinstance(backend, PooledBackend) else None


async def open_backend(settings: Settings) -> tuple[Backend, BackendFacts, tuple[str, ...]]:
    """The open backend that was asked for; `auto` takes Docker if it answers, and says so if it does not.

    Raises:
        UnavailableError: the backend that was demanded cannot be had.
    """
    notes: tuple[str, ...] = ()
    if settings.backend in ("auto", "docker"):
        backend = make_backend(settings, "docker")
        try:
            return backend, await backend.open(), notes
        except UnavailableError:
            await backend.close()
            if settings.backend == "docker":
                raise
            notes = ("no Docker engine: running as local processes; limits are not enforced",)
    backend = make_backend(settings, "process")
    return backend, await backend.open(), notes


def instance_id(home: Path) -> str:
    """The id of a home, made once; written on every agent, so that homes never touch each other's."""
    file = home / "instance"
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        instance = secrets.token_hex(6)
        file.write_text(instance + "\n", encoding="ascii")
        return instance
    except OSError as error:
        raise UnavailableError(f"{file}: cannot be read: {error}") from error
