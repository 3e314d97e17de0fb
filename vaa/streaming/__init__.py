"""A camera or a growing file, scored as it comes."""
