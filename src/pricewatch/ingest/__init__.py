"""Venue connections: frames in, ticks out, reconnects and refills."""
