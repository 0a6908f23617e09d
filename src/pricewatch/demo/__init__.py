"""A composition of its own: simulated venues, the service, a mail sink, a terminal view."""
