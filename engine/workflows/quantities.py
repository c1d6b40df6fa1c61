"""Quantities in documents: durations, memory, CPUs and percentages, with and without units."""

from __future__ import annotations

import re
from typing import Annotated

from engine.workflows.fields import Reads, resolved, scalar_of, wrong

MAX_SECONDS = 366 * 24 * 3600.0
MIN_MEMORY = 6 * 1024 * 1024


def read_percentage(node: object) -> float:
    """A number from 0 to 100; `10%` is accepted as text."""
    expected = "a percentage from 0 to 100"
    scalar = scalar_of(node, expected)
    value = resolved(scalar, expected)
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?%", value):
        value = float(value[:-1])
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise wrong(node, expected)
    return float(value)


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_DAYS = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(d|day|days)")


def read_duration(node: object) -> float:
    """Seconds, from Go's syntax (`1h30m`, `1.5s`, `500ms`) or a plain number of seconds."""
    expected = "a duration such as 90s, 5m, 1h30m, 500ms or a number of seconds"
    scalar = scalar_of(node, expected)
    text = scalar.text.strip()
    if scalar.plain:
        value = resolved(scalar, expected)
        if value is None or isinstance(value, bool):
            raise wrong(node, expected)
        if isinstance(value, (int, float)):
            return _seconds(float(value), node, expected)
    if re.fullmatch(r"[0-9]{1,30}(\.[0-9]{1,30})?", text):
        return _seconds(float(text), node, expected)
    if len(text) <= 100 and _DURATION.fullmatch(text):
        total = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
        return _seconds(total, node, expected)
    raise wrong(node, expected, _duration_advice(text))


def _duration_advice(text: str) -> str:
    if days := _DAYS.fullmatch(text[:100]):
        return f"there is no unit for days, write {float(days[1]) * 24:g}h"
    joined = re.sub(r"\s+|,|and", "", text[:100].lower())
    for words, unit in (
        ("milliseconds?|millis?|msecs?", "ms"),
        ("seconds?|secs?", "s"),
        ("minutes?|mins?", "m"),
        ("hours?|hrs?", "h"),
    ):
        joined = re.sub(rf"(?<=[0-9])(?:{words})(?![a-z])", unit, joined)
    if joined != text and _DURATION.fullmatch(joined):
        return f"write {joined}"
    return "a duration cannot be negative" if text.startswith("-") else "units are h, m, s, ms, us and ns"


def _seconds(value: float, node: object, expected: str) -> float:
    if value < 0:
        raise wrong(node, expected, "a duration cannot be negative")
    if value > MAX_SECONDS:
        nanos = value / 1e9
        meant = f"; if nanoseconds are meant, write {nanos:g}s" if 0 < nanos <= MAX_SECONDS else ""
        raise wrong(node, expected, f"this is more than a year{meant}")
    return value


_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_DECIMAL = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([KMGT]i|[kKMGT])?B?")


def read_memory(node: object) -> int:
    """Bytes, from a number of bytes or a text with a unit."""
    expected = "a memory size such as 256Mi, 1Gi, 500M or a number of bytes"
    scalar = scalar_of(node, expected)
    if scalar.plain and resolved(scalar, expected) is None:
        raise wrong(node, expected)
    text = scalar.text.strip()
    if re.fullmatch(r"[0-9]{1,18}[mgt]b?", text):
        unit = text.rstrip("b")[-1].upper()
        raise wrong(node, expected, f"write {text.rstrip('b')[:-1]}{unit}i for 1024-based units, or {unit}")
    match = _SIZE.fullmatch(text)
    if match is None:
        value = _float(text)
        if value is None or not value.is_integer() or value < 0:
            raise wrong(node, expected)
        size = int(value)
    else:
        size = int(float(match[1]) * {**_BINARY, **_DECIMAL, "": 1}[match[2] or ""])
    if size < MIN_MEMORY:
        raise wrong(node, expected, "Docker's smallest limit is 6Mi; for no limit take the line out")
    if size > 1 << 60:
        raise wrong(node, expected, "no machine has that much")
    return size


def read_cpus(node: object) -> int:
    """Nano-CPUs, from nano-CPUs (500000000), CPUs ("0.5", 2) or milli-CPUs ("500m")."""
    expected = 'a number of CPUs such as "0.5" or 2, or nano-CPUs such as 500000000'
    scalar = scalar_of(node, expected)
    if scalar.plain and resolved(scalar, expected) is None:
        raise wrong(node, expected)
    text = scalar.text.strip()
    if re.fullmatch(r"[0-9]{1,9}m", text):
        nanos = int(text[:-1]) * 1_000_000
    else:
        value = _float(text)
        if value is None:
            raise wrong(node, expected)
        if 4096 < value < 1_000_000:
            raise wrong(node, expected, "too many CPUs, and too few nano-CPUs")
        nanos = round(value * 1e9) if value <= 4096 else int(value)
    if nanos < 10_000_000:
        raise wrong(node, expected, "Docker's smallest limit is 0.01 CPUs; for no limit take the line out")
    if nanos > 4096 * 10**9:
        raise wrong(node, expected, "no machine has that many")
    return nanos


def _float(text: str) -> float | None:
    if not re.fullmatch(r"[-+]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][-+]?[0-9]{1,3})?", text):
        return None
    return float(text)


def _number_or_text(pattern: str, **bounds: float) -> dict[str, object]:
    return {"anyOf": [{"type": "number", **bounds}, {"type": "string", "pattern": pattern}]}


Percentage = Annotated[
    float, Reads(read_percentage, _number_or_text(r"^[0-9]+(\.[0-9]+)?%$", minimum=0, maximum=100))
]
Duration = Annotated[
    float,
    Reads(
        read_duration,
        _number_or_text(
            r"^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^[0-9]+(\.[0-9]+)?$",
            minimum=0,
            maximum=MAX_SECONDS,
        ),
    ),
]
Memory = Annotated[
    int,
    Reads(read_memory, _number_or_text(r"^[0-9]+(\.[0-9]+)?\s*([KMGT]i|[kKMGT])?B?$", minimum=MIN_MEMORY)),
]
Cpus = Annotated[int, Reads(read_cpus, _number_or_text(r"^[0-9]*\.?[0-9]+m?$", exclusiveMinimum=0))]
