"""From the outbox to the world: claim, render, send, mark."""
