"""How far an outbox was proved: the next proof starts a little before it.

Kept in the service's own database, so that every operator starts from the same. It is moved only by a proof of all
services that found nothing, and never beyond what is still on its way to a topic or to an inbox. The positions just
below it are proved again each time: a topic that was made anew, or lost its tail, shows there.
"""

from typing import Final

import psycopg

AGAIN: Final = 10_000  # positions

READ: Final = "SELECT position FROM waybill_verified_position"
SAVE: Final = """
INSERT INTO waybill_verified_position (position, verified_by) VALUES (%s, %s)
ON CONFLICT (id) DO UPDATE SET position = excluded.position, verified_by = excluded.verified_by,
    verified_at = clock_timestamp()
WHERE waybill_verified_position.position < excluded.position
OR waybill_verified_position.position > (SELECT max(position) FROM waybill_outbox)
"""


def read(connection: psycopg.Connection) -> int:
    """Return the position to start after, 0 for the beginning. Raises psycopg.Error."""
    (position,) = connection.execute(READ).fetchone() or (0,)
    return max(0, position - AGAIN)


def save(connection: psycopg.Connection, position: int, by: str) -> None:
    """Note that everything up to the position was proved. Raises psycopg.Error."""
    connection.execute(SAVE, (position, by))
