"""What most verbs need: the settings of this call, and commands to copy that mean the same home."""

from __future__ import annotations

import shlex
from argparse import Namespace
from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.facade import Settings


def settings_of(options: Namespace) -> Settings:
    """The settings, with the flags of this call on top.

    Raises:
        UsageError: a setting of the wrong kind, or an empty `--home`, as from a variable that is not set.
    """
    from engine.settings import load_settings

    if getattr(options, "home", None) == "":
        raise UsageError(
            "--home is empty: expected a directory", hint="leave it out for the home that is used otherwise"
        )
    return load_settings(
        home=getattr(options, "home", None),
        redis_url=getattr(options, "redis_url", None),
        backend=getattr(options, "backend", None),
        ascii=getattr(options, "ascii", None),
    )


def command(settings: Settings, *words: str) -> str:
    """A command line of ours to copy; names the home unless it is the one that is used anyway."""
    from engine.settings import default_home

    home = () if settings.home == default_home().absolute() else ("--home", str(settings.home))
    return shlex.join(["agentainer", *words, *home])
