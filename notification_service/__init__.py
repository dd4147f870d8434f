"""Tells customers, once, what became of their orders.

Owns: the notifications of each order, the customers' contact addresses, and their webhooks with the deliveries.
Topics in: order.events.v1, payment.events.v1.
Topics out: notification.events.v1.
"""
