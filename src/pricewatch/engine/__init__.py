"""Evaluation itself: pure, synchronous, no clock."""
