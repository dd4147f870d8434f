"""Dead letters of both sides that can be redriven with success: messages repaired, publications that were too large."""

import base64

import psycopg

from schemas.events import OrderPlaced
from tests.support.relays import Outbox, append, relay, set_limit
from waybill.contracts import codec

LIMIT, ROOMY = 10_000, 1_000_000


def repair(database, event: OrderPlaced) -> None:
    """Put the right bytes in place of the broken ones."""
    value = base64.b64encode(codec.frame(1, codec.encode(event))).decode()
    with psycopg.connect(database.superuser_url, autocommit=True) as session:
        session.execute(
            "UPDATE received SET body = jsonb_build_object('value', %s::text) WHERE status = -1"
            " AND headers->>'key' = %s AND headers->>'reason' NOT LIKE 'behind%%'",
            (value, event.aggregate_id),
        )


def refuse(own: Outbox, *aggregates: str, topic: str | None = None) -> None:
    """Make dead letters of versions 1 to 3 of each aggregate: the first is too large, the others wait behind it."""
    set_limit(own.kafka, topic or own.topic, LIMIT)
    with own.connect() as writer, relay(own) as running:
        for aggregate in aggregates:
            for version, size in [(1, 20_000), (2, 20), (3, 20)]:
                last = append(writer, topic or own.topic, aggregate, version, size=size)
        running.wait_for("the cursor", lambda: own.cursor()[0] == last)
