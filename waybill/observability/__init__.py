"""What a program tells of itself: metrics, logs, health, readiness, its state for `outbox status`."""
