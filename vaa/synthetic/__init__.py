"""Synthetic surveillance videos: places, people and cars, normal and anomalous events, and their ground truth."""
