"""The project's own files: what they promise each other."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names_of(requirements: list[str]) -> set[str]:
    """The names of packages, without versions and extras."""
    return {re.split(r"[\s\[<>=!~;]", requirement)[0] for requirement in requirements}


@pytest.mark.parametrize(
    ("section", "requirements"),
    [("At run time", PROJECT["dependencies"]), ("For development", PROJECT["optional-dependencies"]["dev"])],
)
def test_every_dependency_has_a_line_of_reason_and_no_other(section: str, requirements: list[str]) -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text.split(f"## {section}\n")[1].split("\n## ")[0], re.MULTILINE)
    documented = {re.sub(r"\[.*", "", name) for row in rows for name in re.findall(r"`([\w\[\]-]+)`", row)}

    assert documented == names_of(requirements)


@pytest.mark.parametrize("script", [".ci/run"])
def test_scripts_are_executable_and_parse(script: str) -> None:
    assert (ROOT / script).stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], cwd=ROOT, check=True, timeout=30)


@pytest.mark.parametrize("target", ["help", "demo", "test", "lint", "format", "bench", "clean"])
def test_the_makefile_has_its_targets(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 0, done.stderr
