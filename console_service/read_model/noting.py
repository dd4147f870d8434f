"""Write a batch: two statements, whatever its size, and the same rows however often it comes."""

import json
from collections.abc import Sequence
from typing import Final

from django.db import connection

from console_service.read_model.fold import Note, as_json, orders

EVENTS: Final = """
INSERT INTO console_event (event_id, event_type, service, aggregate_type, aggregate_id, version, order_id, topic,
                           "partition", "offset", recorded_at, correlation_id, causation_id, detail)
SELECT event_id, event_type, service, aggregate_type, aggregate_id, version, order_id, topic, "partition", "offset",
       recorded_at, correlation_id, causation_id, detail
FROM jsonb_to_recordset(%s::jsonb) AS new (
    event_id uuid, event_type text, service text, aggregate_type text, aggregate_id text, version int, order_id uuid,
    topic text, "partition" int, "offset" bigint, recorded_at timestamptz, correlation_id text, causation_id text,
    detail text)
ON CONFLICT (event_id) DO NOTHING
"""
# Each teller's word counts from a version that was not heard yet; an older one, or the same again, changes nothing.
ORDERS: Final = """
INSERT INTO console_order AS known (
    order_id, customer_id, status, step_since, version, placed_at, total, currency, reason, stock, stock_version,
    payment, payment_version, last_event_at)
SELECT order_id, customer_id, status, step_since, version, placed_at, total, currency, reason, stock, stock_version,
       payment, payment_version, last_event_at
FROM jsonb_to_recordset(%s::jsonb) AS new (
    order_id uuid, customer_id text, status text, step_since timestamptz, version int, placed_at timestamptz,
    total bigint, currency text, reason text, stock text, stock_version int, payment text, payment_version int,
    last_event_at timestamptz)
ON CONFLICT (order_id) DO UPDATE SET
    customer_id = coalesce(known.customer_id, excluded.customer_id),
    status = CASE WHEN excluded.version > known.version THEN excluded.status ELSE known.status END,
    step_since = CASE WHEN excluded.version > known.version THEN excluded.step_since ELSE known.step_since END,
    reason = CASE WHEN excluded.version > known.version THEN coalesce(excluded.reason, known.reason)
                  ELSE known.reason END,
    version = greatest(known.version, excluded.version),
    placed_at = coalesce(known.placed_at, excluded.placed_at),
    total = CASE WHEN excluded.version > known.version THEN coalesce(excluded.total, known.total)
                 ELSE coalesce(known.total, excluded.total) END,
    currency = coalesce(known.currency, excluded.currency),
    stock = CASE WHEN excluded.stock_version > known.stock_version THEN excluded.stock ELSE known.stock END,
    stock_version = greatest(known.stock_version, excluded.stock_version),
    payment = CASE WHEN excluded.payment_version > known.payment_version THEN excluded.payment ELSE known.payment END,
    payment_version = greatest(known.payment_version, excluded.payment_version),
    last_event_at = greatest(known.last_event_at, excluded.last_event_at)
"""


def note(notes: Sequence[Note]) -> None:
    """Write the events, and what they say of their orders. Raises what the database raises."""
    if not notes:
        return
    with connection.cursor() as cursor:
        cursor.execute(EVENTS, [json.dumps([as_json(one) for one in notes])])
        cursor.execute(ORDERS, [json.dumps([as_json(one) for one in orders(notes)])])
