"""The table of rules is whole, and every test that it names exists and checks something."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.documentation import REFERENCE, ROOT, read

_ROW = re.compile(
    r"^\| R(?P<number>\d+) \| (?P<rule>.+) \| `(?P<file>[\w/.]+)::(?P<test>\w+)` \|$", re.MULTILINE
)
PAGE = read(REFERENCE / "semantics.md")
RULES = [(int(m["number"]), m["rule"], m["file"], m["test"]) for m in _ROW.finditer(PAGE)]


def test_there_are_at_least_120_rules_numbered_without_gaps() -> None:
    assert len(RULES) >= 120
    assert [number for number, *_ in RULES] == list(range(1, len(RULES) + 1))
    assert len(RULES) == sum(line.startswith("| R") for line in PAGE.splitlines())


def test_no_rule_is_said_twice() -> None:
    rules = [re.sub(r"\W+", " ", rule).lower() for _, rule, _, _ in RULES]
    assert len(set(rules)) == len(rules)


@pytest.mark.parametrize(("file", "test"), sorted({(file, test) for _, _, file, test in RULES}))
def test_the_test_of_a_rule_exists_and_checks_something(file: str, test: str) -> None:
    functions = functions_of(ROOT / file)
    assert test in functions, f"{file} has no {test}"
    assert test.startswith("test_")
    found = functions[test]
    text = ast.unparse(found)
    assert not re.search(r"pytest\.(mark\.)?(skip|xfail)", text), f"{file}::{test} may be left out"
    assert checks(found, functions), f"{file}::{test} has no assertion"


@functools.cache
def functions_of(file: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def checks(
    function: ast.AST, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef], depth: int = 3
) -> bool:
    """Whether a function asserts something, expects an error, or leaves that to another one of its file."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("pytest.raises", "pytest.fail") or name.startswith("check_"):
                return True
            helper = functions.get(name.rpartition(".")[2])
            if depth and helper is not None and checks(helper, functions, depth - 1):
                return True
    return False
