"""JSON from outside, taken only as far as it can be written down again and walked through.

Tasks and people hand it in: `NaN` and numbers beyond all bounds are not JSON to anyone else, and what is
nested without measure ends every recursive walk over it.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

DEEPEST = 100
"""Levels of lists and objects that a value may have."""

_MAY_BE_INFINITE = re.compile(r"[0-9][eE]\+?[0-9]{3}|[0-9]{300}")


def parse(text: str) -> Any:
    """One JSON value.

    Raises:
        ValueError: it is not one, or has `NaN`, an infinite number, or more than `DEEPEST` levels.
    """
    # What is asked for with care is parsed slowly: only where there can be anything to find.
    number = _finite if _MAY_BE_INFINITE.search(text) else None
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=number)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > DEEPEST and is_too_deep(value):
        raise ValueError(_TOO_DEEP)
    return value


def is_too_deep(value: Any) -> bool:
    """Whether a JSON value has more than `DEEPEST` levels."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            part
            for holder in level
            if isinstance(holder, dict | list)
            for part in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(part, dict | list)
        ]
        if not level:
            return False
    return bool(level)


_TOO_DEEP = f"nested more than {DEEPEST} levels deep"


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
