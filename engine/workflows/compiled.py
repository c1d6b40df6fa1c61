"""Values that depend on the run's state: made once at load, evaluated against a `Scope` while it runs.

A scope has the state's fields at the top level, `params`, `steps.<id>.{status,result,error,exit_code}`, for a
map item its alias and `_map_index`, and for `on_failure` and `finally` steps
`run.{status,reason,error,failed_step}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Scope = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition said, with the warnings to record (mismatched types, a slow expression)."""

    value: bool
    warnings: tuple[str, ...] = ()


class Condition(Protocol):
    """A compiled condition."""

    def evaluate(self, scope: Scope) -> Verdict:
        """True or false; a missing field is false, never an error (contract §1)."""
        ...


class Template(Protocol):
    """A compiled text with `{{ $.path }}` places."""

    @property
    def source(self) -> str:
        """The text as written."""
        ...

    def render(self, scope: Scope) -> str:
        """The text; text values as they are, null as "", the rest as compact JSON.

        Raises:
            InputError: a path finds nothing; the message names the template, the path and the field.
        """
        ...


class Path(Protocol):
    """A compiled JSONPath."""

    @property
    def source(self) -> str:
        """The path as written."""
        ...

    def find(self, scope: Scope) -> Any:
        """The one value it finds (a list of them when the path has wildcards, filters or slices).

        Raises:
            InputError: it finds nothing; the message says how far it got.
        """
        ...


class Value(Protocol):
    """A compiled JSON value with templates in its texts.

    A text that is nothing but one `{{ $.path }}` stands for the value itself, of whatever type.
    """

    def evaluate(self, scope: Scope) -> Any:
        """The JSON value.

        Raises:
            InputError: a path finds nothing.
        """
        ...
