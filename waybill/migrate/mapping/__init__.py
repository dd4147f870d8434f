"""The mapping file: which tables and columns become which fields of which event."""
