"""The schema registry: registration, the ids that databases keep, and its restore."""
