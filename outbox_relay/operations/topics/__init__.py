"""Topics and their consumer groups: what is there, what is missing, more partitions."""
