"""Commands to events and rows, in one transaction; and rows held against the fold of their events."""
