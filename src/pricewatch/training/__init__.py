"""Prophet refits in worker processes."""
