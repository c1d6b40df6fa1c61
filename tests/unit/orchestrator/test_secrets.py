"""Reading secrets and env files: what is wrong with them is said before a run exists."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import DocumentError
from engine.orchestrator.secrets import Secrets, literal_warnings, read_secrets
from engine.workflows.plan import Plan, SecretSpec


def plan_with(directory: Path | None, *secrets: SecretSpec, env_files: tuple[str, ...] = ()) -> Plan:
    return Plan(
        workflow="test",
        digest="0" * 64,
        document="",
        path=str(directory / "flow.yaml") if directory else None,
        steps={},
        secrets={secret.name: secret for secret in secrets},
        env_files=env_files,
    )


def write(file: Path, data: str | bytes, mode: int = 0o600) -> None:
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    file.chmod(mode)


def complaints(plan: Plan, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        read_secrets(plan, environ or {})
    return [str(problem) for problem in caught.value.problems]


def test_a_plan_without_secrets_has_none(tmp_path: Path) -> None:
    secrets = read_secrets(plan_with(tmp_path), {"TOKEN": "not asked for"})
    assert not secrets.masker and not secrets.values and not secrets.variables


def test_the_engines_environment_comes_before_the_env_files(tmp_path: Path) -> None:
    write(tmp_path / ".env", "TOKEN=from the file\nOTHER=only in the file\nMODE=fast\n")
    plan = plan_with(tmp_path, SecretSpec("TOKEN"), SecretSpec("SECOND", env="OTHER"), env_files=(".env",))
    secrets = read_secrets(plan, {"TOKEN": "from the environment"})
    assert secrets.values == {"TOKEN": "from the environment", "SECOND": "only in the file"}
    assert secrets.environment(["SECOND"]) == {"SECOND": "only in the file"}


def test_variables_that_feed_a_secret_are_not_given_to_every_task(tmp_path: Path) -> None:
    write(tmp_path / ".env", "TOKEN=from the file\nOTHER=of the second\nMODE=fast\n")
    plan = plan_with(tmp_path, SecretSpec("TOKEN"), SecretSpec("SECOND", env="OTHER"), env_files=(".env",))
    assert read_secrets(plan, {}).variables == {"MODE": "fast"}


def test_later_env_files_win_and_nothing_in_them_is_expanded(tmp_path: Path) -> None:
    write(tmp_path / "a.env", "# first\nA=1\nexport B='b b'\nC=\"${A} $HOME\"\n")
    (tmp_path / "below").mkdir()
    write(tmp_path / "below" / "b.env", "A=2\r\n")
    variables = read_secrets(plan_with(tmp_path, env_files=("a.env", "below/b.env")), {}).variables
    assert variables == {"A": "2", "B": "b b", "C": "${A} $HOME"}


def test_a_secret_file_loses_the_newline_at_its_end_and_no_other(tmp_path: Path) -> None:
    write(tmp_path / "token", "first\n\nlast\n\n")
    secrets = read_secrets(plan_with(tmp_path, SecretSpec("TOKEN", file="token")), {"TOKEN": "unused"})
    assert secrets.values == {"TOKEN": "first\n\nlast\n"}


def test_paths_are_relative_to_the_document_not_to_where_the_engine_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flows").mkdir()
    write(tmp_path / "flows" / "token", "beside the document")
    write(tmp_path / "token", "beside the engine")
    monkeypatch.chdir(tmp_path)
    spec = SecretSpec("TOKEN", file="token")
    assert read_secrets(plan_with(tmp_path / "flows", spec), {}).values["TOKEN"] == "beside the document"
    relative = replace(plan_with(None, spec), path="flows/flow.yaml")
    assert read_secrets(relative, {}).values["TOKEN"] == "beside the document"
    assert read_secrets(plan_with(None, spec), {}).values["TOKEN"] == "beside the engine"


def test_a_missing_variable_is_named_with_where_it_was_looked_for_and_what_to_do(tmp_path: Path) -> None:
    write(tmp_path / ".env", "MODE=fast\n")
    plan = plan_with(tmp_path, SecretSpec("TOKEN", env="DEPLOY_TOKEN"), env_files=(".env",))
    [complaint] = complaints(plan)
    assert complaint == (
        f"{tmp_path}/flow.yaml: secret TOKEN: the variable DEPLOY_TOKEN is not set, in {tmp_path}/.env "
        "neither: "
        "set it before you start (export DEPLOY_TOKEN=…), or put it into an env file"
    )
    [complaint] = complaints(replace(plan, env_files=()), {"DEPLOY_TOKEN": ""})
    assert "the variable DEPLOY_TOKEN is empty: set it" in complaint
    assert "name an `env_file` that has it" in complaint


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    plan = plan_with(
        tmp_path, SecretSpec("ONE"), SecretSpec("TWO", file="nowhere"), env_files=("absent.env",)
    )
    env_file, one, two = complaints(plan)
    assert f"env file {tmp_path}/absent.env does not exist" in env_file
    assert "the variable ONE is not set" in one
    assert f"secret TWO: the file {tmp_path}/nowhere does not exist" in two


@pytest.mark.parametrize(
    ("data", "mode", "complaint"),
    [
        ("hunter2!", 0o640, "can be read by others (its mode is 640): chmod 600"),
        ("hunter2!", 0o604, "can be read by others (its mode is 604): chmod 600"),
        ("", 0o600, "is empty"),
        ("\n", 0o600, "is empty"),
        ("x" * (64 * 1024 + 1), 0o600, "is larger than 64 KiB"),
        (b"caf\xe9 au lait", 0o600, "is not UTF-8 text (byte 3)"),
        ("hun\0ter2", 0o600, "contains a NUL byte"),
        ("abc", 0o600, "shorter than 4 characters"),
        ("  ab  \n", 0o400, "shorter than 4 characters"),
    ],
)
def test_a_secret_file_that_cannot_be_used(
    tmp_path: Path, data: str | bytes, mode: int, complaint: str
) -> None:
    write(tmp_path / "token", data, mode)
    [found] = complaints(plan_with(tmp_path, SecretSpec("TOKEN", file="token")))
    assert complaint in found and "TOKEN" in found
    assert "hunter2" not in found, "no complaint shows a secret"


def test_a_secret_file_of_the_largest_size_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "token", "x" * (64 * 1024))
    secrets = read_secrets(plan_with(tmp_path, SecretSpec("TOKEN", file="token")), {})
    assert len(secrets.values["TOKEN"]) == 64 * 1024


def test_a_directory_or_a_pipe_is_no_secret_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)  # opening it may not wait for somebody to write
    specs = SecretSpec("ONE", file="folder"), SecretSpec("TWO", file="pipe")
    one, two = complaints(plan_with(tmp_path, *specs))
    assert "is a directory: expected a file" in one
    assert "is no regular file" in two


@pytest.mark.parametrize(
    ("text", "line"),
    [("A=1\n\n\n  what is this\n", 4), ("A=1\n# note\nNO_VALUE\n", 3), ("A=1\nB='open\n", 2)],
)
def test_an_env_file_that_cannot_be_parsed_says_where(tmp_path: Path, text: str, line: int) -> None:
    write(tmp_path / ".env", text)
    [complaint] = complaints(plan_with(tmp_path, env_files=(".env",)))
    assert complaint.startswith(f"{tmp_path}/.env:{line}:1: cannot be read: expected lines of the form")


def test_an_env_file_that_cannot_be_used(tmp_path: Path) -> None:
    write(tmp_path / "large.env", b"A=" + b"x" * (1 << 20))
    write(tmp_path / "latin.env", b"A=\xe9\n")
    large, latin = complaints(plan_with(tmp_path, env_files=("large.env", "latin.env")))
    assert "large.env is larger than 1024 KiB" in large
    assert "latin.env is not UTF-8 text (byte 2)" in latin


def test_a_document_that_contains_a_secret_is_warned_of(tmp_path: Path) -> None:
    plan = replace(plan_with(tmp_path, SecretSpec("A"), SecretSpec("B")), document="x: hunter2!\n")
    secrets = read_secrets(plan, {"A": "hunter2!", "B": "not in there"})
    [warning] = literal_warnings(plan, secrets)
    assert "the value of the secret A" in warning and "hunter2" not in warning


def test_values_are_not_shown_by_accident() -> None:
    assert "hunter2" not in repr(Secrets({"A": "hunter2!"}, {"B": "hunter2!"}))


@pytest.mark.parametrize("place", ["../id_rsa", "link", "{absolute}"])
def test_a_private_file_elsewhere_is_not_read_whatever_leads_to_it(tmp_path: Path, place: str) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    write(tmp_path / "id_rsa", "the key of somebody")
    (flows / "link").symlink_to("../id_rsa")
    file = place.format(absolute=tmp_path / "id_rsa")
    secret, env_file = plan_with(flows, SecretSpec("KEY", file=file)), plan_with(flows, env_files=(file,))

    for plan in (secret, env_file):
        [complaint] = complaints(plan)
        assert "allowed_roots" in complaint
        assert "the key of somebody" not in complaint
    assert read_secrets(secret, {}, [tmp_path]).values == {"KEY": "the key of somebody"}
