"""Messages received once: handled, or kept as dead letters until they are redriven."""
