"""Metrics Collector: figures over the history."""
