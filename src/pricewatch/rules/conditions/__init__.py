"""One condition per file."""
