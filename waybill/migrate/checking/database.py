"""What the project's database says of itself: migrations, rights, room, long transactions, clock, backups."""

import time
from collections.abc import Iterator
from typing import Any, Final

from django.core import checks
from django.db import connections, transaction
from django.db.migrations.executor import MigrationExecutor

from waybill.migrate import tables
from waybill.migrate.checking.items import Item, item
from waybill.migrate.mapping.document import Mapped

OLDEST: Final = 140000
OURS: Final = ("waybill_outbox", "waybill_inbox", "waybill_migrate", "django_outbox_pattern")
NEEDED_CONNECTIONS: Final = 20  # relays, consumers, run, gate and a handover of two sides at once, with room
CLOCK_SECONDS: Final = 1.0
LONG_SECONDS: Final = 60.0
ROOM: Final = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    current_setting('max_connections')::int
"""
# Of other roles only who may see them; NULL there.
LONGEST: Final = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float,
    coalesce((array_agg(pid ORDER BY xact_start))[1], 0)
FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
AND xact_start IS NOT NULL
"""
CLOCK: Final = "SELECT extract(epoch FROM clock_timestamp())::float"
ARCHIVE: Final = """
SELECT current_setting('archive_mode') <> 'off', last_archived_time, last_failed_time,
    coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
FROM pg_stat_archiver
"""
OWNS: Final = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass(%s)"


def look(using: str, mapped: Mapped | None) -> Iterator[Item]:
    """Yield what is about the database. Raises what the database raises."""
    yield _migrations(using)
    yield _checks(using)
    with transaction.atomic(using), connections[using].cursor() as cursor:
        yield _version(cursor)
        yield _clock(cursor)
        yield _room(cursor)
        yield _transactions(cursor, using)
        yield _backups(cursor)
        if mapped is not None:
            yield _rights(cursor, mapped)


def _migrations(using: str) -> Item:
    executor = MigrationExecutor(connections[using])
    left = [
        f"{one.app_label}.{one.name}" for one, _ in executor.migration_plan(executor.loader.graph.leaf_nodes()) if one
    ]
    ours = [name for name in left if name.partition(".")[0] in OURS]
    found = f"not applied: {', '.join((ours or left)[:3])}" if left else "all are applied"
    return item("migrations", found, "python manage.py migrate", ok=not left)


def _checks(using: str) -> Item:
    """Ask Django's own checks of the outbox's server."""
    said = [one for one in checks.run_checks(databases=[using]) if str(one.id).startswith("waybill.")]
    wrong = [one for one in said if one.level >= checks.ERROR]
    found = "; ".join(one.msg for one in wrong or said) or "manage.py check --database finds nothing wrong"
    do = " ".join(str(one.hint) for one in wrong or said if one.hint)
    return item("outbox", found, do, ok=not said, required=bool(wrong))


def _version(cursor: Any) -> Item:
    version = cursor.connection.info.server_version
    found = f"PostgreSQL {version // 10000}.{version % 10000}"
    return item("server", found, "Upgrade to 14 or newer.", ok=version >= OLDEST)


def _clock(cursor: Any) -> Item:
    before = time.time()
    cursor.execute(CLOCK)
    theirs, after = cursor.fetchone()[0], time.time()
    apart = max(0.0, before - theirs, theirs - after)
    do = "Synchronise the clocks (NTP) of this machine and the server's: holds lapse by the server's."
    return item("clock", f"{apart:.1f} s apart from the database's", do, ok=apart <= CLOCK_SECONDS)


def _room(cursor: Any) -> Item:
    cursor.execute(ROOM)
    free, most = cursor.fetchone()
    do = f"Raise max_connections, or lessen the project's: the programs of a move need about {NEEDED_CONNECTIONS}."
    return item("connections", f"{free} free of {most}", do, ok=free >= NEEDED_CONNECTIONS)


def _transactions(cursor: Any, using: str) -> Item:
    cursor.execute(LONGEST)
    seconds, pid = cursor.fetchone()
    atomic = "on" if connections[using].settings_dict["ATOMIC_REQUESTS"] else "off"
    found = f"ATOMIC_REQUESTS is {atomic}; the oldest open transaction is {seconds:.0f} s old"
    do = (
        f"See what process {pid} does: triggers and a handover wait for whoever has written and not ended. Set"
        " idle_in_transaction_session_timeout."
    )
    return item("transactions", found, do, ok=seconds < LONG_SECONDS)


def _backups(cursor: Any) -> Item:
    cursor.execute(ARCHIVE)
    is_on, last, failed, is_failing = cursor.fetchone()
    do = "Know when a backup was last restored: docs/how-to/back-up-one-service.md."
    if not is_on:
        said = "archive_mode is off: whether backups are taken in another way cannot be seen from here"
        return item("backups", said, do, ok=None, required=False)
    found = f"the last WAL file was archived at {last or 'no time yet'}"
    found += f", and since {failed} it fails" if is_failing else ""
    return item("backups", found, do, ok=last is not None and not is_failing, required=False)


def _rights(cursor: Any, mapped: Mapped) -> Item:
    wanted = {one.table for one in mapped.aggregates.values()}
    wanted |= {child.table for one in mapped.aggregates.values() for child in one.children.values()}
    missing, others = list[str](), list[str]()
    for name in sorted(wanted):
        cursor.execute(OWNS, [tables.identifier(name)])
        row = cursor.fetchone()
        (missing if row is None else others if not row[0] else []).append(name)
    found = "this role owns every table of the mapping"
    found = f"other roles own {', '.join(others)}" if others else found
    found = f"there is no table {', '.join(missing)}" if missing else found
    do = "Run the verbs as the tables' owner: triggers are made and disabled there. Correct names in the mapping."
    return item("rights", found, do, ok=not missing and not others)
