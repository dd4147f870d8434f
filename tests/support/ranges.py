"""A log in ranges, for tests: divided, moved on, and read as its owner."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg

from devstack.harness.databases import ServiceDatabase
from outbox_relay.operations.partitions import adopting, dropping, ensuring, layout

AT_ONCE = timedelta()
RECORD = ("ana", "a test")


@contextmanager
def owner_of(database: ServiceDatabase) -> Generator[psycopg.Connection]:
    """Connect as the owner."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        yield owner


def divide(owner: psycopg.Connection, events: int) -> int:
    """Divide the log; returns the first position of the second range."""
    return adopting.adopt(owner, events, *RECORD)


def move_to(owner: psycopg.Connection, position: int) -> None:
    """Let the next event get this position, as if those before had been rolled back."""
    owner.execute("SELECT setval('waybill_outbox_position_seq', %s)", (position - 1,))


def settle(database: ServiceDatabase, *, due: bool = False) -> None:
    """Let everything be published and verified, and what is due be done, as the programs and `verify` leave it."""
    with psycopg.connect(database.superuser_url, autocommit=True) as superuser:
        superuser.execute("UPDATE waybill_outbox_cursor SET position = (SELECT max(position) FROM waybill_outbox)")
        superuser.execute(
            "INSERT INTO waybill_verified_position (position, verified_by) SELECT max(position), 'test' "
            "FROM waybill_outbox ON CONFLICT (id) DO UPDATE SET position = excluded.position"
        )
        if not due:
            superuser.execute("DELETE FROM waybill_due_task")


def held(connection: psycopg.Connection, older_than: timedelta = AT_ONCE) -> list[tuple[str, ...]]:
    """Return what keeps each range from the first on, up to the first that is kept."""
    return [one.held.reasons for one in dropping.candidates(connection, older_than)]


def drop_first(owner: psycopg.Connection, folder: Path) -> Path:
    """Archive and drop the first range; returns its file."""
    written: list[Path] = []
    candidate = dropping.candidates(owner, AT_ONCE)[0]
    assert not candidate.held.reasons, candidate.held.reasons
    dropping.drop(owner, "order", candidate, AT_ONCE, folder, RECORD, lambda one: written.append(one.path))
    return written[0]


def names(connection: psycopg.Connection) -> list[str]:
    """Return the ranges' names, without what they have in common."""
    return [one.name.removeprefix("waybill_outbox_") for one in layout.ranges(connection)]


def ensure(owner: psycopg.Connection, ahead: int = 2) -> list[int]:
    """Make ranges ahead."""
    return ensuring.ensure(owner, ahead, None, RECORD[0])
