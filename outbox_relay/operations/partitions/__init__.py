"""The log as ranges of positions: divided, made ready for what comes, and shortened by what is archived."""
