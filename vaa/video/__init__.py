"""Frames of videos: sources, decoders, seeking, prefetch, resizing, drawing."""
