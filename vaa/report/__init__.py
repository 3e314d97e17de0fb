"""What people look at: files, plots, W&B."""
