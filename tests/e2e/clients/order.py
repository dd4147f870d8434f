"""Place an order, wait for its end, read its history, cancel another one: with nothing but the generated client."""

import sys
import uuid

from client import AuthenticatedClient
from client.api.orders import cancel_order, place_order, read_history, read_order
from client.models import LineIn, OrderIn

base_url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=base_url, token=token, timeout=60, raise_on_unexpected_status=True)


def place(payment_method):
    body = OrderIn(lines=[LineIn(sku="LAMP-01", quantity=1)], payment_method=payment_method)
    return place_order.sync(client=client, body=body, idempotency_key=str(uuid.uuid4()))


placed = place("tok_ok")
ended = read_order.sync(placed.id, client=client, prefer="wait=30")
history = read_history.sync(placed.id, client=client)

slow = place("tok_slow")
cancel_order.sync(slow.id, client=client, idempotency_key=str(uuid.uuid4()))
cancelled = read_order.sync(slow.id, client=client, prefer="wait=30")

refused = cancel_order.sync(placed.id, client=client, idempotency_key=str(uuid.uuid4()))
print(placed.total, ended.status, len(history.items), cancelled.status, cancelled.cancellation_reason, refused.code)  # noqa: T201 - what the test reads
