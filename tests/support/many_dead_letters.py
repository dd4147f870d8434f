"""Dead letters by the thousand, as a service's consumer keeps them: keys of four, the first of each tried."""

import psycopg

FILL = """
INSERT INTO received (id, msg_id, headers, body, added, expires_at, retry, status)
SELECT gen_random_uuid(), 'inventory_service:' || gen_random_uuid(),
       jsonb_build_object(
           'consumer', 'inventory_service', 'topic', 'order.events.v1', 'key', key,
           'place', 'order.events.v1/' || (i %% 6) || '/' || i,
           'reason', CASE WHEN i %% 4 <> 0 THEN 'behind a dead letter of its key' ELSE (ARRAY[
               'Unreadable: the bytes end early in 12 bytes', 'ValueError: no such thing', 'KeyError: 7',
               'IntegrityError: duplicate key'])[1 + (i / 4) %% 4] END,
           'record', jsonb_build_object(
               'ce_id', gen_random_uuid(), 'ce_sequence', (1 + i %% 4)::text, 'ce_source', '//order_service',
               'ce_type', (ARRAY['waybill.order.OrderPlaced', 'waybill.order.OrderConfirmed',
                                 'waybill.order.OrderCancelled'])[1 + (i / 4) %% 3],
               'ce_time', '2026-11-27T20:00:00Z', 'ce_specversion', '1.0', 'ce_correlationid', gen_random_uuid(),
               'ce_causationid', gen_random_uuid(), 'traceparent', '00-' || md5(i::text) || '-0123456789abcdef-01')),
       jsonb_build_object(
           'key', encode(key::bytea, 'base64'), 'headers', '[]'::jsonb, 'timestamp_ms', 1764276672000,
           'value', encode(decode(repeat(md5(i::text), 6), 'hex'), 'base64'), 'unreadable', ''),
       now() - (%(count)s - i) * interval '1 second', now() + interval '30 days', 0, -1
FROM (SELECT i, md5((i / 4)::text)::uuid::text AS key FROM generate_series(0, %(count)s - 1) AS i) AS made
"""


def fill(connection: psycopg.Connection, count: int) -> None:
    """Keep so many dead letters, a second apart."""
    connection.execute(FILL, {"count": count})
