"""Venues' wire protocols on loopback, over a seeded market or a recorded capture."""
