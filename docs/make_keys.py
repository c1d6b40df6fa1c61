"""Writes `reference/keys.md` from the one list of keys; a test sees that it is current.

Run `python docs/make_keys.py` after a change of `keymap.py`.
"""

from __future__ import annotations

from pathlib import Path

from agentainer_tui.keymap import KEYS, SCOPES, Key, key_text

PAGE = Path(__file__).parent / "reference" / "keys.md"
HEAD = """\
# Keys of the dashboard

This page is made from the list that the dashboard itself works with (`python docs/make_keys.py`).
In the dashboard, `?` shows the keys of where you are. The names in the last column are those that
`keys.toml` takes, see [make it yours](../how-to/make-it-yours.md#keys); `agentainer keys` prints the
keys as you have set them.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for scope, title in SCOPES.items():
        rows = [_row(key) for key in KEYS if key.scope == scope]
        if rows:
            parts.append(
                f"## {title}\n\n| key | what it does | name |\n|---|---|---|\n" + "\n".join(rows) + "\n"
            )
    return "\n".join(parts)


def _row(key: Key) -> str:
    keys = " ".join(f"`` {name} ``" if "`" in name else f"`{name}`" for name in key_text(key).split(" "))
    return f"| {keys.replace('|', chr(92) + '|')} | {key.help} | `{key.id}` |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
