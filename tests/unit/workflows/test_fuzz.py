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
from engine.workflows.loader import Loaded, load, load_text
from engine.workflows.schema import json_schema

PATHS = st.sampled_from([None, "w.yaml", "w.json"])
DOCUMENTS = sorted(
    path.read_text(encoding="utf-8")
    for path in (Path(__file__).parent / "invalid").iterdir()
    if path.suffix in SUFFIXES
)
SCHEMA = json_schema()
KEYS = sorted(
    {key for model in (SCHEMA, *SCHEMA["definitions"].values()) for key in model.get("properties", ())}
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


WORDS = """
a b c 5s 0 true $.a $.a[?(@.b>1)] {{$.a}} x{{$.params.a}} 256Mi ./a:/b a:/b:ro ../a /a/b a/..
~ @daily local UTC ^a+$
"""
TEXTS = st.text(max_size=6) | st.sampled_from([*WORDS.split(), "0 6 * * 1-5"])
NUMBERS = st.integers() | st.integers(0, 3) | st.floats()
scalars = st.none() | st.booleans() | NUMBERS | TEXTS
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | TEXTS, inner, max_size=3)
    ),
    max_leaves=8,
)


def draw_value(data: st.DataObject, schema: dict[str, Any], depth: int = 0) -> Any:
    """What the schema says, mostly, and anything else now and then."""
    if data.draw(st.integers(0, 25)) == 25:
        return data.draw(anything)
    if "$ref" in schema:
        return draw_value(data, SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]], depth + 1)
    if "enum" in schema:
        return data.draw(st.sampled_from(schema["enum"]))
    if "anyOf" in schema and "properties" not in schema:
        return draw_value(data, data.draw(st.sampled_from(schema["anyOf"])), depth)
    kinds = schema.get("type", "string")
    match kinds if isinstance(kinds, str) else data.draw(st.sampled_from(kinds)):
        case "object":
            return draw_object(data, schema, depth)
        case "array":
            items = schema.get("items", {})
            return [draw_value(data, items, depth + 1) for _ in range(data.draw(st.integers(0, 3)))]
        case "integer":
            return data.draw(st.integers(schema.get("minimum", 0), 9))
        case "boolean":
            return data.draw(st.booleans())
        case "number":
            return data.draw(NUMBERS)
        case _ if "pattern" in schema or "maxLength" in schema:
            return data.draw(st.sampled_from("abcdefgh"))
        case _:
            return data.draw(TEXTS)


def draw_object(data: st.DataObject, schema: dict[str, Any], depth: int) -> dict[str, Any]:
    fields = schema.get("properties", {})
    if not fields:
        return data.draw(st.dictionaries(TEXTS, scalars, max_size=3))
    wanted = data.draw(st.lists(st.sampled_from(sorted(fields)), max_size=3)) if depth < 8 else []
    some = data.draw(st.sampled_from(schema.get("oneOf") or schema.get("anyOf") or [schema]))
    needed = [*schema.get("required", ()), *some.get("required", ())]
    if "command" in fields and "id" in fields:
        needed += ["id", *data.draw(st.sampled_from([["command"], ["image"], []]))]
    return {
        name: draw_value(data, fields[name] or {}, depth + 1) for name in dict.fromkeys([*needed, *wanted])
    }


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), PATHS)
def test_any_structure_with_the_known_keys(data: st.DataObject, path: str | None) -> None:
    check(load_text(json.dumps(draw_value(data, SCHEMA)), path))


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
