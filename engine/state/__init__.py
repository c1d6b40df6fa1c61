"""State Manager: shared state, task keys, completions, the Redis server of our own."""
