"""`keys`: the dashboard's keys as they are now, with those of `keys.toml`."""

from __future__ import annotations

from argparse import Namespace

from agentainer_tui.commands.console import err, out, print_json
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.key_file import KeyTable, keys_file, read_keys
from agentainer_tui.key_names import shown_key
from agentainer_tui.keymap import KEYS, SCOPES, Key, key_text
from agentainer_tui.text import fit
from engine.errors import DocumentError

_ID_WIDTH = max(len(key.id) for key in KEYS)
_KEY_WIDTH = 14


def keys(options: Namespace) -> int:
    """`agentainer keys`; 2 if something is wrong with the file."""
    settings = settings_of(options)
    file = keys_file(settings)
    table = read_keys(file, expected=settings.keys_file is not None)
    if options.json:
        print_json([_entry(key, table) for key in table.keys])
    else:
        for scope, title in SCOPES.items():
            out.line(title)
            for key in table.keys:
                if key.scope == scope:
                    _print(key, changed=key.id in table.changed)
        err.line(f'agentainer: to change a key, write a line such as "home.run" = "ctrl+r" into {file}')
    for problem in table.problems:
        err.line(str(problem))
    return DocumentError.exit_code if table.problems else 0


def _print(key: Key, *, changed: bool) -> None:
    mark = "*" if changed else " "
    written = fit(key_text(key), max(_KEY_WIDTH, len(key_text(key))))
    painted = out.paint(written, "accent") if changed else written
    out.write(f"{mark} {fit(key.id, _ID_WIDTH)} {painted} {key.help}\n")


def _entry(key: Key, table: KeyTable) -> dict[str, object]:
    return {
        "id": key.id,
        "scope": key.scope,
        "keys": [shown_key(name) for name in key.keys.split(",")],
        "label": key.label,
        "help": key.help,
        "changed": key.id in table.changed,
    }
