"""Stand-ins for the outside world: the payment provider and the customers' mailbox, each a server of its own."""
