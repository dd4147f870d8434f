"""Whether the relay may trust what it finds: the positions, and the outbox as a whole."""
