"""Tests of the Agent Manager that need no Docker engine."""
