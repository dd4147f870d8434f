"""A saga as data: who reacts to what, what is due when, and what every command makes of every status."""
