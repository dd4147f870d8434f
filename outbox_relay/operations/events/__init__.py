"""Events of an outbox: history, new ones as they come, restored rows, acknowledged records."""
