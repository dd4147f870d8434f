"""A Django app whose models live on the four services: what a shop's staff read of an order, wherever it stands."""
