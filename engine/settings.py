"""The settings: one typed object from defaults, `agentainer.toml`, the environment and flags, in that order.

Files: `<home>/agentainer.toml`, then `./agentainer.toml`. Environment: `AGENTAINER_<NAME>`.

What loosens the protection of this machine is not taken from the current directory: that may be a repository
that somebody has just cloned.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import platformdirs
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from engine.errors import UsageError

BackendChoice = Literal["auto", "docker", "process"]
BACKEND_CHOICES: tuple[str, ...] = get_args(BackendChoice)


# Never read from `./agentainer.toml`.
_LOOSENING = frozenset(("allowed_roots", "allow_docker_socket", "allow_privileged", "allow_host_network"))


def _split_paths(value: Any) -> Any:
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


def _absolute(path: Path) -> Path:
    try:
        path = path.expanduser()
    except RuntimeError as error:  # `~nobody`
        raise ValueError(str(error)) from None
    if not path.is_absolute():
        raise ValueError("expected an absolute path")
    return path


def default_home() -> Path:
    """`$AGENTAINER_HOME`, else the platform's place for application data."""
    configured = os.environ.get("AGENTAINER_HOME")
    return Path(configured).expanduser() if configured else platformdirs.user_data_path("agentainer")


class Settings(BaseModel):
    """Everything about the engine that is not in a workflow document. Durations are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(default_factory=default_home, description="where history, logs and sockets live")
    backend: BackendChoice = Field(default="auto", description="where agents run")
    redis_url: str | None = Field(default=None, description="an outside Redis; none starts our own")
    max_tasks: int = Field(
        default_factory=lambda: max(8, 4 * (os.cpu_count() or 2)), ge=1, description="tasks at once"
    )
    max_starts: int = Field(
        default_factory=lambda: 2 * (os.cpu_count() or 2), ge=1, description="container starts at once"
    )
    max_warm: int = Field(
        default_factory=lambda: max(16, 8 * (os.cpu_count() or 2)),
        ge=1,
        description="warm agents of one pool",
    )
    stop_grace: float = Field(default=10.0, ge=0, description="seconds between SIGTERM and SIGKILL")
    platform_retries: int = Field(default=3, ge=0, description="tries after platform failures, per task")
    platform_retry_delay: float = Field(default=0.5, ge=0, description="first delay after one; doubles")
    max_recoveries: int = Field(default=5, ge=1, description="crashes after which a run is parked")
    result_limit: int = Field(default=1 << 20, ge=1024, description="bytes of standard output as a result")
    log_limit: int = Field(default=64 << 20, ge=4096, description="bytes of log kept per attempt")
    run_log_limit: int = Field(
        default=1 << 30, ge=65536, description="bytes of log per run, beyond which attempts keep little"
    )
    keep_days: float = Field(
        default=90.0, ge=0, le=36_500, description="days finished runs are kept, 0 = for ever"
    )
    keep_runs: int = Field(default=1000, ge=0, description="finished runs kept per workflow, 0 = all")
    max_items: int = Field(default=100_000, ge=1, description="largest map")
    max_depth: int = Field(default=10, ge=1, description="how deep sub-workflows may be nested")
    silence_warning: float = Field(
        default=600.0, ge=0, description="seconds of silence of a task after which to warn, 0 = never"
    )
    artifact_limit: int = Field(default=1 << 30, ge=0, description="bytes of one artifact")
    allowed_roots: Annotated[
        tuple[Annotated[Path, AfterValidator(_absolute)], ...], BeforeValidator(_split_paths)
    ] = Field(default=(), description="directories below which host paths may be mounted")
    allow_docker_socket: bool = Field(default=False, description="tasks may get the Docker socket")
    allow_privileged: bool = Field(default=False, description="tasks may have all rights on this machine")
    allow_host_network: bool = Field(default=False, description="tasks may use this machine's network")
    keys_file: Path | None = Field(default=None, description="the dashboard's keys, instead of keys.toml")
    theme: str | None = Field(default=None, description="the dashboard's colours; none: as chosen there")
    ascii: bool = Field(default=False, description="the dashboard draws with ASCII signs only")

    @property
    def database(self) -> Path:
        """The history's SQLite file."""
        return self.home / "history.db"

    @property
    def logs(self) -> Path:
        """Where the log files of attempts are."""
        return self.home / "logs"

    @property
    def artifacts(self) -> Path:
        """Where the artifacts of runs are."""
        return self.home / "artifacts"


def load_settings(**flags: Any) -> Settings:
    """Read the settings; `flags` (None = not given) win over environment, files and defaults.

    Raises:
        UsageError: a file that is not TOML, an unknown key, a value of the wrong kind; says which and where.
    """
    home = Path(flags.get("home") or default_home()).expanduser().absolute()
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    own = home / "agentainer.toml"
    _take(values, sources, _read_toml(own), str(own))
    here = Path("agentainer.toml")
    if here.absolute() != own:
        _take(values, sources, _refuse_loosening(_read_toml(here), here, own), str(here))
    environment = {
        name: os.environ[variable]
        for name in Settings.model_fields
        if (variable := f"AGENTAINER_{name.upper()}") in os.environ
    }
    _take(values, sources, environment, "the environment")
    _take(values, sources, {k: v for k, v in flags.items() if v is not None}, "the command line")
    values["home"] = home
    try:
        return Settings(**values)
    except ValidationError as error:
        lines = [
            f"setting {'.'.join(map(str, e['loc']))!r} (from {sources.get(str(e['loc'][0]), 'defaults')}): "
            f"{e['msg']}, found {e['input']!r}"
            for e in error.errors()
        ]
        raise UsageError(
            "\n".join(lines), hint=f"known settings: {', '.join(Settings.model_fields)}"
        ) from None


def _refuse_loosening(values: dict[str, Any], file: Path, own: Path) -> dict[str, Any]:
    if found := sorted(_LOOSENING.intersection(values)):
        raise UsageError(
            f"{file.absolute()}: {', '.join(found)} cannot be set in the current directory: whoever made it "
            "could loosen the protection of this machine",
            hint=f"if that is what you want, set it in {own}, or as AGENTAINER_{found[0].upper()}",
        )
    return values


def _take(values: dict[str, Any], sources: dict[str, str], new: dict[str, Any], source: str) -> None:
    values.update(new)
    sources.update(dict.fromkeys(new, source))


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file}: cannot be read as TOML: {error}") from None
