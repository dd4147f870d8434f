"""A session as the owner of a service's database: who alone may choose a position, or change a table."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import psycopg

from outbox_relay.operations.topology import DependencyDown, Topology, UsageError, session
from waybill.database.sqlstate import one_line
from waybill.secret_settings import secret_of

OWNER: Final = "WAYBILL_OWNER_DATABASE_URL"


def url(why: str) -> str:
    """Return the owner's URL; raises UsageError, which says why it is needed, where it is not set."""
    try:
        found = secret_of(OWNER)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not found:
        raise UsageError(f"{OWNER} is not set: {why}, as for `migrate`")
    return found


@contextmanager
def owning(topology: Topology, service: str, owner_url: str) -> Generator[psycopg.Connection]:
    """Connect to the service's database as its owner. Raises UsageError for another one's URL, DependencyDown."""
    try:
        with session(topology.databases[service]) as connection, session(owner_url) as owner:
            names = [one.execute("SELECT current_database()").fetchone() for one in (connection, owner)]
            if names[0] != names[1]:
                raise UsageError(f"{OWNER} leads to database {names[1]}, and the service has {names[0]}")
            yield owner
    except psycopg.Error as error:
        raise DependencyDown(f"database {service}: {one_line(error)}") from None
