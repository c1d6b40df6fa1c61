"""The verbs of the command line, a module for each family of them.

`cli.py` imports a verb's module only when that verb is called, so that `--help` and `validate` stay fast;
a module here imports the heavy parts (asyncio, the engine, Rich) inside the functions that need them.
"""
