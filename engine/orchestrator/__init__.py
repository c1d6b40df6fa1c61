"""Orchestrator: one run's life, step kinds, retry, cleanup policy, states, recovery."""
