"""JSONPaths and templates."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.workflows.compiling import Compiler
from engine.workflows.expressions import ExpressionError, compile_path, compile_template, is_simple
from engine.workflows.jsonpath import parse_path
from engine.workflows.source import parse
from engine.workflows.tree import Findings

STATE: dict[str, Any] = {
    "urls": ["a", "b"],
    "empty": [],
    "nothing": None,
    "zero": 0,
    "deep": {"list": [{"n": 1, "ok": True}, {"n": 2, "ok": False}], "my-key": {"with space": "x"}},
    "*": "a star",
    "steps": {"fetch-1": {"result": {"size": 3}}},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("urls", ["a", "b"]),
        ("$.urls", ["a", "b"]),
        (" $.urls ", ["a", "b"]),
        ("$", STATE),
        ("urls[0]", "a"),
        ("$.urls[-1]", "b"),
        ("$.urls[*]", ["a", "b"]),
        ("$.urls[1:]", ["b"]),
        ("$.empty", []),
        ("$.empty[*]", []),
        ("$.nothing", None),
        ("$.zero", 0),
        ("$.deep.list[*].n", [1, 2]),
        ("$.deep.list[0].ok", True),
        ("$.deep.list[?(@.n > 1)].n", [2]),
        ("$.deep.list[?(@.n > 5)]", []),
        ("$.deep.list[?(@.ok == true)].n", [1]),
        ("$..n", [1, 2]),
        ("$.deep['my-key']['with space']", "x"),
        ("$.deep.my-key", {"with space": "x"}),
        ("$['*']", "a star"),
        ("$.steps.fetch-1.result.size", 3),
        ("$.deep.list[?(@.n > 0 && @.n < 2)].n", [1]),
        ("$.deep.list[?(@.n > 0)].n", [1, 2]),
        ("$.urls.`len`", 2),
    ],
)
def test_paths_find(path: str, value: object) -> None:
    assert compile_path(path).find(STATE) == value


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("$.url", '"$.url" finds nothing: the state has no "url"; it has "*", "deep", "empty"'),
        ("urls[2]", '"urls[2]" finds nothing: $.urls has 2 elements, no index 2'),
        ("urls[-3]", "no index -3"),
        ("$.urls.name", '$.urls is a list of 2, which has no "name"'),
        ("$.zero.x", '$.zero is a number, which has no "x"'),
        ("$.nothing.x", '$.nothing is null, which has no "x"'),
        ("$.deep[0]", "$.deep is an object, which has no index 0"),
        ("$.deep.list[0].x", '$.deep.list[0] has no "x"; it has "n", "ok"'),
        ("$.deep['my-key'].x", '$.deep.my-key has no "x"; it has "with space"'),
        ("$.deep.my-key['with space'].x", '$.deep.my-key["with space"] is a text'),
        ("$.missing[*]", 'the state has no "missing"'),
        ("$.zero.`len`", "finds nothing"),
    ],
)
def test_a_path_that_finds_nothing_says_how_far_it_got(path: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        compile_path(path).find(STATE)
    assert reason in caught.value.message
    assert caught.value.hint


def test_any_mapping_is_a_scope() -> None:
    scope = MappingProxyType({"a": MappingProxyType({"b": [1, 2]})})
    assert compile_path("$.a.b[1]").find(scope) == 2
    assert compile_path("$.a.b[*]").find(scope) == [1, 2]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "  ",
        "$.",
        "$..",
        "$.a[",
        "$.a[?",
        "$.a b",
        "$.1a",
        "$[",
        "]",
        "$.é",
        "$.where",
        "x" * 5000,
        "$.a[?(@.x =~ 'y')]",
    ],
)
def test_what_is_no_path_is_an_error_with_advice(path: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_path(path)
    assert len(str(caught.value)) > 20


def render(text: str, scope: dict[str, Any] = STATE) -> str:
    return compile_template(text).render(scope)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{{ $.zero }}", "0"),
        ("{{$.zero}}-{{ $.zero }}", "0-0"),
        ("a {{ $.urls[0] }} b", "a a b"),
        ("{{ $.nothing }}", ""),
        ("{{ $.urls }}", '["a","b"]'),
        ("{{ $.deep.list[0] }}", '{"n":1,"ok":true}'),
        ("{{ $.deep.list[*].n }}", "[1,2]"),
        ("{{ $.deep.list[0].ok }}", "true"),
        ('{{ "{{" }} .Name }}', "{{ .Name }}"),
        ("{{ '{{' }}", "{{"),
        ("}} single } { braces", "}} single } { braces"),
        ("{ {$.x} }", "{ {$.x} }"),
        ("{{\n$.zero\n}}", "0"),
    ],
)
def test_templates_render(text: str, rendered: str) -> None:
    assert render(text) == rendered


def test_text_from_the_state_is_never_a_template_again() -> None:
    assert render("{{ $.a }}", {"a": "{{ $.b }}", "b": "secret"}) == "{{ $.b }}"


def test_texts_keep_their_characters_in_lists() -> None:
    assert render("{{ $.a }}", {"a": ["é", '"']}) == '["é","\\""]'


def test_a_missing_field_names_template_path_and_field() -> None:
    with pytest.raises(InputError) as caught:
        render("image:{{ $.deep.tag }}")
    assert caught.value.message.startswith(
        'template "image:{{ $.deep.tag }}": "$.deep.tag" finds nothing: $.deep has no "tag"; it has'
    )


@pytest.mark.parametrize("value", ["a\0b", ["a\ud800"]])
def test_values_that_no_program_can_be_given_are_refused(value: object) -> None:
    if isinstance(value, list):
        value = value[0]
    with pytest.raises(InputError, match="value of"):
        render("{{ $.a }}", {"a": value})


@pytest.mark.parametrize(
    "text",
    [
        "{{",
        "a {{ $.b",
        "{{ }}",
        "{{ name }}",
        "{{ .Name }}",
        "{{ $.a[ }}",
        "{{ $.a | upper }}",
        "{{ $.a & $.b }}",
        "{{ 3 }}",
    ],
)
def test_what_is_no_template_is_an_error_with_advice(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(text)
    assert "$" in str(caught.value) or "close the template" in str(caught.value)


@given(st.text(alphabet="{}$.[]'\"*?@()`=~abc01 -:,|&", max_size=40))
def test_any_text_compiles_or_is_an_expression_error(text: str) -> None:
    for make in (compile_path, compile_template):
        try:
            made = make(text)
        except ExpressionError:
            continue
        try:
            made.find(STATE) if hasattr(made, "find") else made.render(STATE)
        except InputError as error:
            assert error.message


@given(
    st.lists(
        st.one_of(
            st.from_regex(r"\.[A-Za-z_][A-Za-z0-9_-]{0,6}", fullmatch=True),
            st.from_regex(r"\[-?[0-9]{1,3}\]", fullmatch=True),
            st.from_regex(r"\['[^'\\]{1,6}'\]", fullmatch=True),
        ),
        max_size=4,
    )
)
def test_the_plain_walk_reads_paths_as_the_library_does(pieces: list[str]) -> None:
    path = "$" + "".join(pieces)
    if is_simple(path):
        parts, rest, many = parse_path(path, path)
        assert (parts, rest, many) == (compile_path(path).parts, None, False)


def value_of(json: Any, scope: dict[str, Any] = STATE) -> Any:
    compiler = Compiler(parse_table("inputs: 1"), Findings("w.yaml"))
    value = compiler.value(json, ("inputs",), "a", "inputs")
    assert value is not None, compiler.findings.sorted()
    return value.evaluate(scope)


def parse_table(text: str) -> Any:
    return parse(text, "w.yaml", Findings("w.yaml"))


@pytest.mark.parametrize(
    ("json", "value"),
    [
        ("{{ $.zero }}", 0),
        ("{{ $.nothing }}", None),
        ("{{ $.urls }}", ["a", "b"]),
        ("{{ $.urls[*] }}", ["a", "b"]),
        ("{{ $.deep.list[0] }}", {"n": 1, "ok": True}),
        ("{{ $.zero }} ", "0 "),
        ("{{ $.zero }}{{ $.zero }}", "00"),
        ('{{ "{{" }}', "{{"),
        ("plain", "plain"),
        (3.5, 3.5),
        (None, None),
        ({"a": [True, "{{ $.urls[0] }}", {"b": "x{{ $.urls }}"}]}, {"a": [True, "a", {"b": 'x["a","b"]'}]}),
        ({"{{ $.zero }}": 1}, {"{{ $.zero }}": 1}),
    ],
)
def test_a_json_value_keeps_its_shape_and_the_types_of_what_it_reads(json: Any, value: Any) -> None:
    found = value_of(json)
    assert found == value
    assert type(found) is type(value)


def test_a_json_value_hands_out_containers_of_its_own() -> None:
    source: dict[str, Any] = {"list": [1]}
    value_of(source)["list"].append(2)
    assert source == {"list": [1]}


def test_a_json_value_that_reads_what_is_not_there_names_the_template() -> None:
    with pytest.raises(InputError, match=r'template "\{\{ \$\.url \}\}": "\$\.url" finds nothing: the state'):
        value_of({"a": ["{{ $.url }}"]})


def test_every_broken_text_of_a_json_value_is_noted_where_it_stands() -> None:
    text = 'inputs:\n  a: "{{ name }}"\n  b:\n    - fine\n    - "{{ $.c"\n'
    findings = Findings("w.yaml")
    compiler = Compiler(parse_table(text), findings)
    json = {"a": "{{ name }}", "b": ["fine", "{{ $.c"]}
    assert compiler.value(json, ("inputs",), "s", "inputs") is None
    assert [(problem.line, problem.column) for problem in findings.sorted()] == [(2, 6), (5, 7)]
    assert "`inputs.b[1]`" in findings.sorted()[1].message


def test_what_a_json_value_reads_is_remembered_for_the_checks_of_the_graph() -> None:
    compiler = Compiler(parse_table("inputs: 1"), Findings("w.yaml"))
    compiler.value(["{{ $.steps.b.result }}", "{{ $.params.p }} {{ $.q }}"], ("inputs",), "a", "inputs")
    assert [reading.path.source for reading in compiler.readings] == ["$.steps.b.result", "$.params.p", "$.q"]
