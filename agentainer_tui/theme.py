"""The two themes of our own, dark and light; the signs and words of statuses are in `looks.py`."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="agentainer-dark",
    primary="#6cb0f5",
    secondary="#a79bf0",
    accent="#5fd3bc",
    success="#74c98f",
    warning="#e2b65d",
    error="#f0787a",
    foreground="#d6dce7",
    background="#10141b",
    surface="#151a23",
    panel="#1c2330",
    dark=True,
    variables={
        "border": "#5fd3bc",
        "border-blurred": "#2b3444",
        "footer-background": "#151a23",
        "footer-key-foreground": "#5fd3bc",
        "footer-description-foreground": "#8b96a8",
        "scrollbar": "#2b3444",
        "scrollbar-hover": "#3a465a",
        "scrollbar-active": "#5fd3bc",
        "scrollbar-background": "#10141b",
        "block-cursor-background": "#274a63",
        "block-cursor-foreground": "#eef3fa",
        "block-cursor-text-style": "none",
    },
)

LIGHT = Theme(
    name="agentainer-light",
    primary="#1f6fbf",
    secondary="#6a55c2",
    accent="#0e8a74",
    success="#22804a",
    warning="#9a6700",
    error="#c2353b",
    foreground="#1f2733",
    background="#fbfbf9",
    surface="#f4f5f4",
    panel="#e9ecee",
    dark=False,
    variables={
        "border": "#0e8a74",
        "border-blurred": "#cdd4da",
        "footer-background": "#f0f2f2",
        "footer-key-foreground": "#0e8a74",
        "footer-description-foreground": "#5d6877",
        "scrollbar": "#cdd4da",
        "scrollbar-hover": "#b4bec7",
        "scrollbar-active": "#0e8a74",
        "scrollbar-background": "#fbfbf9",
        "block-cursor-background": "#cfe3f5",
        "block-cursor-foreground": "#10151c",
        "block-cursor-text-style": "none",
    },
)
