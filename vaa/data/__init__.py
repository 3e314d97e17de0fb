"""Data sets, one file per layout."""
