"""Model artefacts in an object store, signed."""
