"""Every document in `invalid/` is refused with exactly the messages of the text file beside it.

After a wanted change of wording: AGENTAINER_ACCEPT_MESSAGES=1 pytest this file, and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import Severity
from engine.workflows.loader import load

DOCUMENTS = sorted(
    path for path in (Path(__file__).parent / "invalid").iterdir() if path.suffix in (".yaml", ".json")
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_document_is_refused_with_these_messages(document: Path) -> None:
    loaded = load(document)
    found = "".join(
        f"{problem.line}:{problem.column}: "
        f"{'' if problem.severity is Severity.ERROR else 'warning: '}{problem.message}\n"
        for problem in loaded.problems
    )
    expected = document.with_name(f"{document.name}.txt")
    if os.environ.get("AGENTAINER_ACCEPT_MESSAGES"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")
    assert loaded.plan is None
    assert any(problem.severity is Severity.ERROR for problem in loaded.problems)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_problems_name_the_file_and_stand_in_the_order_of_the_text(document: Path) -> None:
    problems = load(document).problems
    assert {problem.path for problem in problems} == {str(document)}
    positions = [(problem.line, problem.column) for problem in problems]
    assert positions == sorted(positions)
    lines = document.read_text(encoding="utf-8").splitlines()
    assert all(1 <= line <= len(lines) + 1 and column >= 1 for line, column in positions)
