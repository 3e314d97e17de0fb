"""Engines: where models run."""
