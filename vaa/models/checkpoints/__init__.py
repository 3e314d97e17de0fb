"""Authors' own checkpoint layouts, converted to native transformers classes."""
