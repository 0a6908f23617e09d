"""Online models and bands, one per file."""
