"""Knows what is for sale and holds stock for orders.

Owns: products with their stock, and one reservation an order.
Topics in: order.events.v1.
Topics out: inventory.events.v1, inventory.products.v1.
"""
