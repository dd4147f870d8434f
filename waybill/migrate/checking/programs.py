"""What stands around the project: broker, registered schemas, relay, and the databases that rows are to arrive in."""

import os
import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from django.db import connections

from waybill.application import event_classes
from waybill.contracts.topics import topics
from waybill.migrate import tables, verify
from waybill.migrate.checking.items import Item, item
from waybill.migrate.mapping.document import Mapped, Service
from waybill.registry.reach import Unreachable

BOOTSTRAP: Final = "WAYBILL_KAFKA_BOOTSTRAP"
KAFKA_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 30.0
REGISTERED: Final = "SELECT event_type, schema_version FROM waybill_schema_id WHERE current"
RELAY: Final = """
SELECT leader, extract(epoch FROM clock_timestamp() - heartbeat_at)::float FROM waybill_outbox_cursor
"""
THERE: Final = """
SELECT to_regclass(%s) IS NOT NULL, to_regclass('waybill_ownership') IS NOT NULL,
    extract(epoch FROM clock_timestamp())::float
"""


def look(using: str, mapped: Mapped | None) -> Iterator[Item]:
    """Yield what is about other programs. Raises what the project's database raises."""
    yield _kafka()
    with connections[using].cursor() as cursor:
        yield _registered(cursor)
        yield _relay(cursor)
    services = [one.service for one in mapped.aggregates.values() if one.service] if mapped else []
    for url in dict.fromkeys(service.url for service in services):
        yield _other_side(url, [service for service in services if service.url == url])


def _kafka() -> Item:
    name, do = "Kafka", f"Set {BOOTSTRAP}, then: python manage.py contracts topics"
    try:
        from waybill.kafka import create_topics
    except ModuleNotFoundError:
        return item(name, "confluent_kafka is not installed", 'pip install "waybill[relay]"', ok=False)
    bootstrap = os.environ.get(BOOTSTRAP)
    if not bootstrap:
        return item(name, f"{BOOTSTRAP} is not set", do, ok=False)
    properties = os.environ.get("WAYBILL_KAFKA_PROPERTIES_FILE")
    try:
        found = create_topics.create_missing(topics(), bootstrap, KAFKA_SECONDS, properties, check_only=True)
    except (Unreachable, create_topics.TopicRefused, ValueError) as error:
        return item(name, str(error), do, ok=False)
    differences = [line for one in found for line in one.differences]
    said = differences[0] if differences else f"{len(found)} topics are there"
    return item(name, said, do, ok=not differences)


def _registered(cursor: Any) -> Item:
    cursor.execute(REGISTERED)
    known = set(cursor.fetchall())
    wanted = {(name, one.schema_version) for name, one in event_classes().items() if one.topic}
    missing = sorted(name for name, _ in wanted - known)
    found = f"no schema id of {', '.join(missing[:3])}" if missing else f"{len(wanted)} have their ids"
    return item("schemas", found, "python manage.py contracts register, with WAYBILL_REGISTRY_URL", ok=not missing)


def _relay(cursor: Any) -> Item:
    cursor.execute(RELAY)
    leader, age = cursor.fetchone() or (None, None)
    runs = age is not None and age < SILENT_SECONDS
    found = "none has ever led" if age is None else f"{leader} said so {age:.0f} s ago"
    return item("relay", found, "python manage.py relay, as a program that goes on", ok=runs)


def _other_side(url: str, services: list[Service]) -> Item:
    given, name = os.environ.get(url), f"other side {url}"
    if not given:
        return item(name, "the variable is not set: cannot be asked", f"Set {url}.", ok=None, required=False)
    try:
        with verify.connected(given) as there:
            return _seen(name, there, services)
    except psycopg.Error as error:
        found = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return item(name, found, f"Start it, or correct {url}.", ok=False, required=False)


def _seen(name: str, there: psycopg.Connection[Any], services: list[Service]) -> Item:
    wrong, do = list[str](), "Migrate it: with its settings that install waybill.inbox and waybill.migrate."
    for service in services:
        before = time.time()
        row = there.execute(THERE, [tables.identifier(service.table)]).fetchone()
        assert row is not None
        has_table, has_apps, clock = row
        wrong += [] if has_table else [f"there is no table {service.table}"]
        wrong += [] if has_apps else ["waybill.migrate is not migrated there"]
        apart = max(0.0, before - clock, clock - time.time())
        wrong += [] if apart <= 1 else [f"its clock is {apart:.1f} s apart"]
    return item(name, "; ".join(dict.fromkeys(wrong)) or "it is there", do, ok=not wrong, required=False)
