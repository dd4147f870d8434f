"""Messages for the inventory service in this process, and what became of them."""

import itertools

from django_outbox_pattern.models import Received

from inventory_service.models import ProductRow
from inventory_service.service import service
from schemas.events import OrderConfirmed, OrderPlaced, ProductListed, ProductRepriced
from waybill.consumer import handling
from waybill.consumer.message import Message
from waybill.contracts import codec
from waybill.observability.telemetry import new_id
from waybill.runtime.settings import settings

FAILED, SUCCEEDED = -1, 2


WRITERS = {1: OrderPlaced, 2: OrderConfirmed, 3: ProductListed, 4: ProductRepriced}


offsets = itertools.count()


def message(event, *, event_id=None, value=None, **headers):
    schema_id = next(n for n, kind in WRITERS.items() if isinstance(event, kind))
    framed = codec.frame(schema_id, codec.encode(event)) if value is None else value
    given = {"ce_id": event_id or new_id(), "ce_type": event.event_type, "ce_sequence": "1", **headers}
    return record(event, tuple((name, said.encode()) for name, said in given.items()), framed)


def record(event, headers, value):
    return Message(event.topic, 0, next(offsets), event.aggregate_id.encode(), headers, value, 0)


def process(*messages):
    handling.process(service, messages, settings())


def dead_letters():
    return [row.headers for row in Received.objects.filter(status=FAILED).order_by("id")]


def reserved():
    return ProductRow.objects.get(pk="LAMP").reserved
