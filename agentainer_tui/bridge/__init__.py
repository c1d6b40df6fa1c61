"""The real port: the engine on a thread and an event loop of its own, in parts by theme."""
