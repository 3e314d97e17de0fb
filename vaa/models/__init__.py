"""Frozen models that answer queries."""
