"""Prompt templates and the parsers of model answers."""
