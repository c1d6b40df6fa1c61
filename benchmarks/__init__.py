"""What the engine costs, measured beside what the machine itself costs. Run with `make bench`."""
