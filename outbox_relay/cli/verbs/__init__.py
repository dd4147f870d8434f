"""The verbs of the `outbox` command, a module for what is asked of, or done to, one kind of thing."""
