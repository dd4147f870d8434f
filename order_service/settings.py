"""Settings that only the order service needs."""

from datetime import timedelta

from pydantic import Field

from waybill.runtime.settings import Environment


class OrderSettings(Environment):
    """Bounds of an order, and how long it may stand open."""

    order_deadline: timedelta = Field(
        default=timedelta(minutes=30),
        description="ISO 8601 duration after which an order that is not confirmed is cancelled.",
    )
    order_cancellation_deadline: timedelta = Field(
        default=timedelta(days=1),
        description="ISO 8601 duration after which a cancellation that has not ended needs an operator's attention.",
    )
    order_max_lines: int = Field(default=100, ge=1, description="Lines of one order at most.")
    order_max_quantity: int = Field(default=10_000, ge=1, description="Units of one line at most.")
