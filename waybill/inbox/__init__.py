"""Messages received once: handled, or kept as dead letters until they are redriven."""

from waybill.consumer.message import Message
from waybill.inbox.handlers import on

__all__ = ["Message", "on"]
