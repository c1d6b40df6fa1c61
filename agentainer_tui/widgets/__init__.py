"""The widgets of the dashboard; they know views and text, never the engine."""
