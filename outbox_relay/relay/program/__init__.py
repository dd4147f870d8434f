"""The relay as a program: its start, standing by and leading, recovering from every failure, its metrics."""
