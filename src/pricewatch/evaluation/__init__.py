"""The engine's shell: order, journal, recovery."""
