"""The small protocols through which a stage hands its output on. No code."""
