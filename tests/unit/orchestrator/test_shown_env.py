from __future__ import annotations

import pytest

from engine.orchestrator.shown_env import declared, rendered
from engine.workflows.expressions import compile_template
from engine.workflows.plan import TaskPlan


def task(**env: str) -> TaskPlan:
    return TaskPlan(env={name: compile_template(text) for name, text in env.items()})


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "PGPASSWORD",
        "API_TOKEN",
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "OPENAI_API_KEY",
        "DB_PASS",
    ],
)
def test_values_of_variables_named_like_secrets_are_not_kept(name: str) -> None:
    assert declared(task(**{name: "hunter2"})) == {name: "***"}


@pytest.mark.parametrize("name", ["PATH", "MAX_TOKENS", "AUTHOR", "PASSES", "KEYS", "COMPASS", "URL"])
def test_values_of_other_variables_are_kept(name: str) -> None:
    assert declared(task(**{name: "value"})) == {name: "value"}


def test_passwords_within_urls_are_not_kept() -> None:
    kept = declared(task(DATABASE_URL="postgres://ann:hunter2@db:5432/x", PLAIN="https://host:8080/a@b"))
    assert kept == {"DATABASE_URL": "postgres://ann:***@db:5432/x", "PLAIN": "https://host:8080/a@b"}


def test_templates_are_kept_as_written_and_what_they_became_for_each_attempt() -> None:
    plan = task(WHO="{{ $.name }}", FIXED="x", THE_TOKEN="{{ $.token }}")
    assert declared(plan) == {"WHO": "{{ $.name }}", "FIXED": "x", "THE_TOKEN": "{{ $.token }}"}
    env = {"WHO": "Ann", "FIXED": "x", "THE_TOKEN": "hunter2", "OTHER": "y"}
    assert rendered(plan, env) == {"WHO": "Ann", "THE_TOKEN": "***"}


def test_of_long_values_the_beginning_is_kept() -> None:
    kept = rendered(task(ALL="{{ $ }}"), {"ALL": "x" * 10_000_000})
    assert kept["ALL"] == "x" * 200 + "…"
