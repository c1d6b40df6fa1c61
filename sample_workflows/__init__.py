"""Runnable examples, installed with the package so that `agentainer demo` finds them everywhere."""
