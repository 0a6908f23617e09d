"""The feed session (no I/O) and its socket."""
