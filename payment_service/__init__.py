"""Charges orders, and pays back what a cancelled order was charged.

Owns: one payment an order.
Topics in: order.events.v1.
Topics out: payment.events.v1.
"""
