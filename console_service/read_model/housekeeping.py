"""Remove orders that ended long ago, with their events; and sessions that are over."""

from typing import Final

from django.db import connection

from console_service.settings import ConsoleSettings
from waybill.runtime.settings import read

# What is open is kept, however old it is. The statement's time: an index does not serve clock_timestamp(), which may
# differ from row to row.
ORDERS: Final = """
WITH old AS (
    SELECT order_id FROM console_order
    WHERE status NOT IN ('PENDING', 'RESERVED', 'CHARGED', 'CANCELLING')
      AND last_event_at < statement_timestamp() - make_interval(days => %s)
    ORDER BY last_event_at LIMIT %s
), events AS (
    DELETE FROM console_event USING old WHERE console_event.order_id = old.order_id
)
DELETE FROM console_order USING old WHERE console_order.order_id = old.order_id
"""
# Of products and the like.
EVENTS: Final = """
DELETE FROM console_event WHERE event_id IN (
    SELECT event_id FROM console_event
    WHERE recorded_at < statement_timestamp() - make_interval(days => %s) AND order_id IS NULL
    ORDER BY recorded_at LIMIT %s)
"""
SESSIONS: Final = """
DELETE FROM console_session WHERE session_key IN (
    SELECT session_key FROM console_session WHERE expire_date < clock_timestamp() LIMIT %s)
"""


def forget(at_most: int) -> dict[str, int]:
    """Remove what is old, so many of each kind at once; returns how many of each."""
    days = read(ConsoleSettings).console_days
    statements = {
        "orders": (ORDERS, [days, at_most]),
        "events": (EVENTS, [days, at_most]),
        "sessions": (SESSIONS, [at_most]),
    }
    removed: dict[str, int] = {}
    for kind, (statement, values) in statements.items():
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            removed[kind] = cursor.rowcount
    return removed
