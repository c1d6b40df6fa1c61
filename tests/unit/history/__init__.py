"""Durable history on real SQLite files."""
