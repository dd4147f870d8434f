"""Moving a route from one service to another: in data, watched, on record, and back by itself."""
