"""Where settings come from, and which may not come from everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory and a home of its own."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"AGENTAINER_{name.upper()}", raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("AGENTAINER_HOME", str(tmp_path / "home"))
    return tmp_path


LOOSENING = [
    'allowed_roots = ["/data"]',
    "allowed_roots = []",
    "allow_docker_socket = true",
    "allow_privileged = true",
    "allow_host_network = false",
]


@pytest.mark.parametrize("line", LOOSENING)
def test_the_current_directory_cannot_loosen_the_protection_of_the_machine(place: Path, line: str) -> None:
    (place / "here" / "agentainer.toml").write_text(f"max_tasks = 1\n{line}\n")
    with pytest.raises(UsageError, match=line.split()[0]) as caught:
        load_settings()
    assert str(place / "here" / "agentainer.toml") in caught.value.message
    assert str(place / "home" / "agentainer.toml") in caught.value.hint


@pytest.mark.parametrize("line", LOOSENING)
def test_the_home_may_loosen_it(place: Path, line: str) -> None:
    (place / "home" / "agentainer.toml").write_text(line)
    load_settings()


def test_a_home_that_is_the_current_directory_may_loosen_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place / "home")
    (place / "home" / "agentainer.toml").write_text("allow_privileged = true")
    assert load_settings().allow_privileged


def test_a_link_to_the_current_directory_does_not_make_it_the_home(place: Path) -> None:
    (place / "here" / "agentainer.toml").symlink_to(place / "home" / "agentainer.toml")
    (place / "home" / "agentainer.toml").write_text("allow_privileged = true")
    with pytest.raises(UsageError, match="allow_privileged"):
        load_settings()


def test_environment_and_flags_may_loosen_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTAINER_ALLOW_HOST_NETWORK", "true")
    monkeypatch.setenv("AGENTAINER_ALLOWED_ROOTS", "/data:/srv/models:")
    settings = load_settings(allow_docker_socket=True)
    assert settings.allow_host_network and settings.allow_docker_socket and not settings.allow_privileged
    assert settings.allowed_roots == (Path("/data"), Path("/srv/models"))


@pytest.mark.parametrize("root", ["data", ".", "./x", "~nobody-of-that-name/x"])
def test_roots_are_absolute(monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    monkeypatch.setenv("AGENTAINER_ALLOWED_ROOTS", root)
    with pytest.raises(UsageError, match="allowed_roots"):
        load_settings()


def test_a_root_may_be_written_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTAINER_ALLOWED_ROOTS", "~/data")
    assert load_settings().allowed_roots == (Path.home() / "data",)


def test_nothing_is_allowed_unless_somebody_says_so() -> None:
    settings = load_settings()
    assert settings.allowed_roots == ()
    assert not (settings.allow_docker_socket or settings.allow_privileged or settings.allow_host_network)
