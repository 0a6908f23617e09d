"""The engine over what is stored: previews, back-tests and their reports."""
