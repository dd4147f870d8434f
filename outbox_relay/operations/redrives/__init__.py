"""A redrive as a job: so many dead letters a second, with a true result, that survives its program."""
