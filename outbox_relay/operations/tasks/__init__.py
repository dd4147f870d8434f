"""Due tasks as operators see them: what waits for when, and what of it they may move or cancel."""
