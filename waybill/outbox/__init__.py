"""The append-only outbox, and the wake-up signal that follows a commit."""
