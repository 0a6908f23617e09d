"""Ratios against a reference in the same run; `python -m benchmarks` prints them all."""
