"""One channel per file."""
