"""What the tabs of the details pane say, and how large JSON values are shown; without Textual."""
