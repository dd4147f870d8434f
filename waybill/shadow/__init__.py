"""The shadow program: a reverse proxy that compares what a candidate would have answered with what clients got."""
