"""Seats, which guests hold and book."""
