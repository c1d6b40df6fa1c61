"""The verbs of the command line, a module for each family of them.

`dispatch.py` imports a verb's module only when that verb is called, so that `--help` and `validate` stay
fast; the modules they share import asyncio, Rich and the engine only where a verb needs them.
"""
