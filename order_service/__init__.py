"""Takes orders and carries each to exactly one end.

Owns: orders, and a copy of the price list.
Topics in: inventory.events.v1, inventory.products.v1, payment.events.v1.
Topics out: order.events.v1.
"""
