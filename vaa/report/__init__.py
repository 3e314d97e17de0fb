"""A run's folder: files, page, plots, alerts, and the log's summary."""
