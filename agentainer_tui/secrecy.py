"""What nobody wants to see in an issue or in a command that is shown: values that are called like a secret.

Declared secrets are masked by the engine already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
# An author is none, nor is a number of tokens.
_SECRET = re.compile(
    r"pass(word|wd|phrase)|secret|(?<!max.)token|credential|(api|private).?key|auth(?!or(s|ed)?([^a-z]|$))",
    re.IGNORECASE,
)


def is_secret(name: str) -> bool:
    """Whether a name is one that passwords and tokens have."""
    return _SECRET.search(name) is not None


def masked(value: Any) -> Any:
    """A JSON value without the values that are called like a secret, at any depth."""
    if isinstance(value, Mapping):
        return {name: MASK if part and is_secret(str(name)) else masked(part) for name, part in value.items()}
    if isinstance(value, list):
        return [masked(part) for part in value]
    return value
