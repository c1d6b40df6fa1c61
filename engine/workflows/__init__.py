"""Workflow Manager: documents, loading with positions, plans, the directory watcher."""
