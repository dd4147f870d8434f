"""A replay: history sent again, as a job that survives its program."""
