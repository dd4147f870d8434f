"""A trace viewer and a metrics store beside the local stack: what is not there is said, and left out."""
