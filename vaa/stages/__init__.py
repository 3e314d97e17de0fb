"""The stages of a method: Report -> Report."""
