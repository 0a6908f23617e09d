"""One pure protocol parser per venue."""
