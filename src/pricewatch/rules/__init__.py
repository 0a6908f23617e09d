"""Rule documents, conditions and their life cycle: pure."""
