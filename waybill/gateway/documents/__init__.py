"""What the documents say: read field by field, and refused where it is not supported."""
