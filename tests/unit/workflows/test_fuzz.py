"""Loading never raises and never hangs, whatever the text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import Severity
from engine.workflows.catalog import SUFFIXES
from engine.workflows.documents import StepDocument, WorkflowDocument
from engine.workflows.loader import Loaded, load, load_text

PATHS = st.sampled_from([None, "w.yaml", "w.json"])
DOCUMENTS = sorted(
    path.read_text(encoding="utf-8")
    for path in (Path(__file__).parent / "invalid").iterdir()
    if path.suffix in SUFFIXES
)
KEYS = sorted(
    {*WorkflowDocument.model_fields, *StepDocument.model_fields, "field", "operator", "value", "and", "not"}
)


def check(loaded: Loaded) -> None:
    errors = [problem for problem in loaded.problems if problem.severity is Severity.ERROR]
    assert (loaded.plan is None) == bool(errors)
    for problem in loaded.problems:
        assert str(problem).isprintable()
        assert len(problem.message) < 2000
    if loaded.plan is not None:
        assert load_text(loaded.plan.document, loaded.plan.path).plan == loaded.plan


@given(st.text(max_size=300), PATHS)
def test_any_text(text: str, path: str | None) -> None:
    check(load_text(text, path))


@given(st.text(alphabet="{}[]&*!|>'\"%@`?:-,# \n\tab<=~.0123", max_size=120), PATHS)
def test_any_text_of_yaml_characters(text: str, path: str | None) -> None:
    check(load_text(text, path))


def test_a_character_that_cannot_be_shown_is_escaped_in_advice_too() -> None:
    check(load_text("name: x\nsteps: [{id: a, image: '{{ $.\U00018cd6 }}'}]"))


@given(st.sampled_from(DOCUMENTS), st.data(), PATHS)
def test_damaged_documents(text: str, data: st.DataObject, path: str | None) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    check(load_text(text[:start] + data.draw(st.text(max_size=8)) + text[end:], path))


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "a",
            "b",
            "map",
            "parallel",
            "decision",
            "eq",
            "5s",
            "$.a",
            "{{ $.a }}",
            "{{ $.params.a }}",
            "256Mi",
            "true",
        ]
    )
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=25,
)
step_values = st.dictionaries(st.sampled_from(sorted(StepDocument.model_fields)), values, max_size=6)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(sorted(WorkflowDocument.model_fields)), values, max_size=6),
    st.lists(step_values | values, max_size=4),
    PATHS,
)
def test_any_structure_with_the_known_keys(
    document: dict[str, Any], steps: list[Any], path: str | None
) -> None:
    check(load_text(json.dumps({"name": "x", "steps": steps, **document}), path))


@given(
    st.sampled_from(DOCUMENTS),
    st.data(),
    st.sampled_from(["a", "0", "1", "1.", "$.a", "&a", "*a", "!a", "é"]),
)
def test_messages_stay_short_for_long_words(text: str, data: st.DataObject, word: str) -> None:
    words = sorted(set(re.findall(r"[A-Za-z0-9.$_-]+", text)))
    replaced = data.draw(st.sampled_from(words))
    check(load_text(text.replace(replaced, word * data.draw(st.sampled_from([70, 600, 5000])), 1)))


@pytest.mark.parametrize("name", ["w.yaml", "w.json"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_in_a_file(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    check(load(tmp_path / name))
