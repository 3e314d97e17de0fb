"""Protocols, metrics and the evaluation of a run."""
