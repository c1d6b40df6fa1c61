"""Agent Manager: the backend protocol and its implementations."""
