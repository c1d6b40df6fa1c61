"""The command line, in parts."""
