"""The engine: runs workflows of containerised agents. Its public face is `engine.facade`."""
