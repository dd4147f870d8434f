"""As whom a service publishes and consumes, as it has recorded it in its own database (waybill/outbox/service_name.py).

An operator calls a service by the name that its database is given in WAYBILL_OUTBOX_DATABASES. Its consumer group, and
the source of its records, is what the service itself says: nothing is guessed where it has not said so.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psycopg

from outbox_relay.databases import full_name, short_name
from outbox_relay.operations.topology import DependencyDown, Topology, ask
from outbox_relay.relay.kafka.records import source_of

RECORDED: Final = "SELECT name, settings_module FROM waybill_service"


@dataclass(frozen=True, slots=True)
class ServiceName:
    """The consumer group, and what its programs run with."""

    group: str
    settings_module: str | None
    """Of a Django project. None: `python -m waybill` runs them; empty: it has none, being in another language."""


def recorded(service: str, connection: psycopg.Connection) -> ServiceName:
    """Return what the service has recorded. Raises psycopg.Error, also where it has not."""
    try:
        found = connection.execute(RECORDED).fetchone()
    except psycopg.errors.UndefinedTable:
        raise _not_recorded(service, "there is no table waybill_service") from None
    if found is None:
        raise _not_recorded(service, "table waybill_service is empty")
    return ServiceName(*found)


def sources(service: str, connection: psycopg.Connection) -> frozenset[str]:
    """Return each `ce_source` that the service's records may have: what it has recorded, and what its name would give.

    One too many lets a record of another be asked about; one too few would hide a ghost. Raises psycopg.Error.
    """
    known = {short_name(service), full_name(service)}
    with suppress(psycopg.errors.UndefinedTable):  # not migrated since
        known.update(name for name, _ in connection.execute(RECORDED))
    return frozenset(map(source_of, known))


def groups(topology: Topology, services: Collection[str]) -> Mapping[str, str]:
    """Return service → its consumer group. Raises DependencyDown."""
    return {service: name.group for service, name in names(topology, services).items()}


def names(topology: Topology, services: Collection[str]) -> Mapping[str, ServiceName]:
    """Return service → its name. Raises DependencyDown."""
    answers, failures = ask(topology, services, recorded)
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}")
    return answers


def _not_recorded(service: str, why: str) -> psycopg.OperationalError:
    return psycopg.OperationalError(
        f"{service} has not recorded its name ({why}), so nobody knows its consumer group; run its migrations, as in "
        "python manage.py migrate, or start its consumer"
    )
