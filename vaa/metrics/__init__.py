"""Metrics: arrays and texts in, named numbers out."""
