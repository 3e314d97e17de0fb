"""The published numbers beside ours: everything that the authors' released files allow, replayed by one command."""
