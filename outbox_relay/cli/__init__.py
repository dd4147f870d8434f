"""The `outbox` command: arguments and output."""
