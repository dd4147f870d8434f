"""Knows what is for sale and holds stock for orders.

Owns: products with their stock, and one reservation an order; shows the webshop's products.
Topics in: order.events.v1, shop.products.v1.
Topics out: inventory.events.v1, inventory.products.v1.
"""
