"""The same small jobs, done by us and by other programs that run graphs of tasks. See `__main__`."""
