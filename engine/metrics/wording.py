"""Numbers as sentences of reports have them."""

from __future__ import annotations

_MEBI = 1 << 20


def seconds(value: float) -> str:
    """`0.42 s`, `12.3 s`, `3 min 5 s`, `2 h 10 min`."""
    if value < 9.995:
        return f"{value:.2f} s"
    if value < 119.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def percent(share: float) -> str:
    """`7 %`; of what is there but rounds to nothing: `<1 %`."""
    return "<1 %" if 0.0 < share < 0.005 else f"{100 * share:.0f} %"


def memory(number: float) -> str:
    """Bytes as documents have them, rounded up: `96Mi`."""
    return f"{max(1, -int(-number // _MEBI))}Mi"
