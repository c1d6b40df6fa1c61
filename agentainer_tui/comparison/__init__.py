"""Two runs side by side: what differs, as pure values. Nothing here knows Textual."""
