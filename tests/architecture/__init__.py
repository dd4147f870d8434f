"""The rules of the code base, held by tests that start nothing."""
