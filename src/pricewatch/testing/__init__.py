"""In-memory keepers of every port, and builders, for tests."""
