"""Where models run: this process or a Ray cluster."""
