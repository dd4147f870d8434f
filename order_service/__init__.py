"""Takes orders and carries each to exactly one end.

Owns: orders, and a copy of the price list; shows the webshop's orders.
Topics in: inventory.events.v1, inventory.products.v1, payment.events.v1, shop.orders.v1.
Topics out: order.events.v1.
"""
