"""Mails about an order."""

from django.core.mail import send_mail
from django.template.loader import render_to_string


def confirm(order):
    _send(order, f"Your order {order.pk}", "orders/mails/confirmation.txt")


def shipped(order):
    _send(order, f"Your order {order.pk} is on its way", "orders/mails/shipped.txt")


def _send(order, subject, template):
    text = render_to_string(template, {"order": order, "lines": order.lines.all()})
    send_mail(subject, text, None, [order.email])
