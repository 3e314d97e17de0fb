"""Runs beside each other: what differs between them, what that changes, how sure the change is."""
