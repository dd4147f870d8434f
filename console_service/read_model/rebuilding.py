"""The read model anew, from the first records of all topics, while it is read and written.

    1. every record that there is     into temporary tables, which have the names of the real ones and hide them from
                                      this session alone
    2. what came meanwhile            again, until little is left
    3. the real tables                locked against writers; the last records read; in one transaction the orders that
                                      the topics tell of from their first event on are replaced

Whoever looks at a screen sees the rows of before, or those of after. The consumer waits for the third step, and goes on
where it was: an event comes to a row once, however often it is read.

A topic forgets (14 days), and the read model keeps longer. So an order whose first event is in no topic any more stays
as it is, with what the topics still have of it put in where it is newer.

Rejected: the consumer's group set back to the first offsets. Its inbox knows the events and would pass them.
"""

from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaException
from django.db import Error as DatabaseFailed
from django.db import connection, transaction
from psycopg import sql

from console_service.read_model import noting
from console_service.read_model.fold import Note
from console_service.service import service
from waybill.consumer import copies, handling
from waybill.consumer.copies import Topics, Watch
from waybill.database.sqlstate import one_line
from waybill.deciders.outcomes import Unavailable, Unreadable
from waybill.runtime.settings import Settings

FEW: Final = 1_000
ROUNDS: Final = 20
SILENT_SECONDS: Final = 30.0
LOCKED_SECONDS: Final = 10.0
SCHEMA: Final = "SELECT current_schema()"  # where `migrate` made the tables: the URL may say another than public
TEMPORARY: Final = """
DROP TABLE IF EXISTS pg_temp.console_order, pg_temp.console_event;
CREATE TEMPORARY TABLE console_order (LIKE {schema}.console_order INCLUDING ALL);
CREATE TEMPORARY TABLE console_event (LIKE {schema}.console_event INCLUDING ALL);
"""
LOCK: Final = """
SET LOCAL lock_timeout = '10s';
LOCK TABLE {schema}.console_order, {schema}.console_event IN SHARE ROW EXCLUSIVE MODE
"""
REMOVE: Final = """
DELETE FROM {schema}.console_order AS known USING pg_temp.console_order AS fresh
WHERE known.order_id = fresh.order_id AND fresh.placed_at IS NOT NULL;
DELETE FROM {schema}.console_event AS known USING pg_temp.console_order AS fresh
WHERE known.order_id = fresh.order_id AND fresh.placed_at IS NOT NULL;
"""
EVENTS: Final = """
INSERT INTO {schema}.console_event SELECT * FROM pg_temp.console_event ON CONFLICT (event_id) DO NOTHING
"""
_, _UPDATE = noting.ORDERS.split("ON CONFLICT")
ORDERS: Final = f"""
INSERT INTO {{schema}}.console_order AS known SELECT * FROM pg_temp.console_order ON CONFLICT {_UPDATE}
"""  # noqa: S608 - put together from constants
GONE: Final = "DROP TABLE pg_temp.console_order, pg_temp.console_event"
COUNT: Final = "SELECT count(*) FROM pg_temp.console_order"


class Failed(Exception):
    """The read model is as it was; the message says why."""


def rebuild(settings: Settings, tell: Callable[[str], object]) -> None:
    """Do it; `tell` is called with a line now and then. Blocks. Raises Failed."""
    reported = [0]

    def progress(done: int, total: int) -> None:
        if done >= reported[0] + 10_000:
            reported[0] = done
            tell(f"{done} of {total} records")

    watch = Watch(progress, lambda _: None, lambda reason: tell(f"not all of it: {reason}"))
    try:
        with copies.reading(f"{service.name}.again", service.topics, settings, watch) as topics:
            _execute(TEMPORARY)
            for _ in range(ROUNDS):
                ends = topics.ask_ends()
                if topics.left(ends) <= FEW:
                    break
                _read(topics, SILENT_SECONDS)
            with transaction.atomic():
                _execute(LOCK)
                _read(topics, LOCKED_SECONDS)
                for statement in (REMOVE, EVENTS, ORDERS):
                    _execute(statement)
            tell(f"{_count()} orders from {topics.done} records")
            _execute(GONE)
    except (KafkaException, Unavailable, DatabaseFailed) as error:
        raise Failed(one_line(error)) from None


def _read(topics: Topics, silent_seconds: float) -> None:
    """Note what there is up to now, in the tables that this session sees by their names."""
    for messages in topics.until(topics.ask_ends(), silent_seconds):
        notes: list[Note] = []
        for message in messages:
            if message.event_type not in service.reaction_to:
                continue
            try:
                notes.append(handling.react(service, message))
            except Unreadable as error:
                topics.lacks(f"{message.place} cannot be read: {error}")
        with transaction.atomic():
            noting.note(notes)


def _count() -> int:
    with connection.cursor() as cursor:
        cursor.execute(COUNT)
        return cursor.fetchone()[0]


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SCHEMA)
        schema = sql.Identifier(cursor.fetchone()[0])
        for one in filter(str.strip, statement.split(";")):
            cursor.execute(sql.SQL(one).format(schema=schema))  # type: ignore[arg-type]
