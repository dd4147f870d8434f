"""The events of both services."""
