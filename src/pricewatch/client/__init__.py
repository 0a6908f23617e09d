"""The feed from the other side: what a program needs to follow it."""
