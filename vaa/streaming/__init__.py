"""Live sources: a camera or a growing file, scored while it is received."""
