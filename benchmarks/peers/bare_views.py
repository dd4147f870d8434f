"""The views of bare_api.py: Django's URL configuration."""

from typing import Annotated, Any
from uuid import UUID

import uuid_utils
from django.db import transaction
from django.http import HttpRequest
from django.urls import path
from django.utils import timezone
from ninja import NinjaAPI, Schema
from pydantic import Field

from order_service.models import OrderRow, PriceRow

CUSTOMER = "customer-0"

api = NinjaAPI(docs_url=None, openapi_url=None)


class LineIn(Schema):
    """A product and how many of it."""

    sku: Annotated[str, Field(max_length=64)]
    quantity: Annotated[int, Field(ge=1)]


class OrderIn(Schema):
    """An order to place."""

    lines: Annotated[list[LineIn], Field(min_length=1)]
    payment_method: str


@api.post("/v1/orders", response={202: dict[str, Any]})
def place(request: HttpRequest, order: OrderIn) -> Any:  # noqa: ARG001 - as ninja calls it
    """Write the order's row."""
    with transaction.atomic():
        prices = PriceRow.objects.in_bulk([line.sku for line in order.lines])
        lines = [{**line.dict(), "unit_price": prices[line.sku].unit_price} for line in order.lines]
        row = OrderRow.objects.create(
            order_id=UUID(str(uuid_utils.uuid7())),
            version=1,
            status="PENDING",
            customer_id=CUSTOMER,
            lines=lines,
            total=sum(line["quantity"] * line["unit_price"] for line in lines),
            currency=prices[order.lines[0].sku].currency,
            payment_method=order.payment_method,
            created_at=timezone.now(),
            updated_at=timezone.now(),
            stock_closed=False,
            payment_closed=False,
        )
    return 202, {"id": row.order_id, "status": row.status, "lines": row.lines, "total": row.total}


@api.get("/v1/orders/{order_id}")
def read(request: HttpRequest, order_id: UUID) -> Any:  # noqa: ARG001 - as ninja calls it
    """Answer a constant."""
    return {"id": order_id, "status": "PENDING", "lines": [], "total": 100}


urlpatterns = [path("", api.urls)]
