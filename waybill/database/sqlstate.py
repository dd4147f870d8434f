"""What a database error means and what follows from it, decided by its SQLSTATE in one table.

An exception's class does not tell: Django and psycopg raise OperationalError for a server that is away and for a key
that is too long for its index alike. The longest prefix of the SQLSTATE that stands in the table decides; the appendix
"PostgreSQL Error Codes" of PostgreSQL's documentation is the source of the codes. What carries no SQLSTATE was raised
by the client: a connection that failed or was lost, or a value that cannot be sent.

Every program asks here: consumer, worker, relay, web and the `outbox` command. Needs no Django.
"""

import re
from enum import Enum
from typing import Final

import psycopg

from waybill.database import pooler
from waybill.deciders.outcomes import Unavailable


class ErrorClass(Enum):
    """What a database error is about, which decides what is done."""

    TRANSIENT = "transient"
    """It ends by itself: retry with backoff; nothing is counted against a record. An operator need do nothing."""
    WRONG_SERVER = "wrong server"
    """A standby or a read-only server: end the session and connect anew. A failover ends it."""
    ENVIRONMENT = "environment"
    """Rights, tables or credentials are not as they must be: retry with backoff, logged at ERROR, not ready. An
    operator must fix what the reason names."""
    STALE_PLAN = "stale plan"
    """A prepared statement no longer fits its table or session: prepare it anew and try once more."""
    RECORD = "record"
    """The data of this record or request: a dead letter after its attempts, or an error to the client."""


CLASSES: Final = {
    "08": ErrorClass.TRANSIENT,  # connection exception
    "0A": ErrorClass.ENVIRONMENT,  # feature not supported: an older server than this code needs
    "22": ErrorClass.RECORD,  # data exception
    "23": ErrorClass.RECORD,  # integrity constraint violation; collisions of an identity are told apart below
    "25": ErrorClass.TRANSIENT,  # invalid transaction state, time-outs of a session among them
    "25006": ErrorClass.WRONG_SERVER,  # read-only SQL transaction
    "26": ErrorClass.STALE_PLAN,  # the session, or the pooler's, has lost the prepared statement
    "28": ErrorClass.ENVIRONMENT,  # invalid authorization specification
    "3D": ErrorClass.ENVIRONMENT,  # invalid catalog name: no such database
    "3F": ErrorClass.ENVIRONMENT,  # invalid schema name
    "40": ErrorClass.TRANSIENT,  # transaction rollback: serialization failure, deadlock
    "42": ErrorClass.ENVIRONMENT,  # access rule violation, undefined table or column
    "42P05": ErrorClass.STALE_PLAN,  # the session, or the pooler's, has a prepared statement of that name already
    "53": ErrorClass.TRANSIENT,  # insufficient resources: disk full, too many connections
    "54": ErrorClass.RECORD,  # program limit exceeded: a value that is too long for its index
    "55": ErrorClass.TRANSIENT,  # object not in prerequisite state: lock not available
    "57": ErrorClass.TRANSIENT,  # operator intervention: shutdown, statement time-out
    "58": ErrorClass.ENVIRONMENT,  # system error: I/O
    "F0": ErrorClass.ENVIRONMENT,  # configuration file error
    "XX": ErrorClass.ENVIRONMENT,  # internal error: data corrupted
}
STALE_PLAN_TEXT: Final = "cached plan must not change result type"  # 0A000, as have others; the server's own wording

# A number that an identity hands out a second time: it was set back by a restore or a switch-over.
IDENTITY_KEYS: Final = frozenset({"waybill_outbox_pkey", "waybill_due_task_pkey", "waybill_operator_action_pkey"})
# Where a table's identity column is not `id`.
IDENTITY_COLUMNS: Final = {"waybill_outbox": "position"}
# Two that create one aggregate at once meet here: the loser tries again on what the winner left.
VERSION_KEY: Final = "waybill_outbox_one_event_a_version"
# Each partition of the log has keys of its own, named after it.
OF_PARTITION: Final = re.compile(r"(?<=^waybill_outbox_)(?:\d+|open)_")

WRONG_SERVER_REMEDY: Final = "this is a standby, or read-only: it is tried again until the address leads to the primary"
REMEDIES: Final = {
    "42501": "python -m waybill SERVICE migrate grants the rights again",
    "42P01": "run: python -m waybill SERVICE migrate",
    "42703": "run: python -m waybill SERVICE migrate",
    "3F": "run: python -m waybill SERVICE migrate",
    "28": "correct the URL's user and password, or pg_hba.conf",
}

# At a connection's start libpq passes on no SQLSTATE, only what the server said.
REFUSED_AT_START: Final = re.compile(
    r"FATAL:.*(authentication failed|does not exist|pg_hba\.conf|permission denied|not permitted"
    r"|unrecognized configuration parameter|unsupported startup parameter)"
    r"|no password supplied|root certificate|certificate verify failed|does not support SSL"
)
REMEDIES_AT_START: Final = {
    "unrecognized configuration parameter": "the server is too old: PostgreSQL 14 or newer is needed",
    "unsupported startup parameter": pooler.BETWEEN,
}
WRONG_AT_START: Final = re.compile(r"session is read-only|server is in hot standby mode")

# Without an SQLSTATE these name a connection (PEP 249); Django's own ones have no cause that would tell more.
CONNECTION_ERRORS: Final = frozenset({"OperationalError", "InterfaceError"})


def classify(error: BaseException) -> ErrorClass | None:
    """Return what a database error is about; None where neither it nor what caused it is one."""
    found = cause_of(error)
    if found is None:
        return ErrorClass.TRANSIENT if type(error).__name__ in CONNECTION_ERRORS else None
    if found.sqlstate is None:
        return _without_sqlstate(found)
    if found.sqlstate == "0A000" and STALE_PLAN_TEXT in str(found):
        return ErrorClass.STALE_PLAN
    if found.sqlstate == "23505" and _key(found) in IDENTITY_KEYS:
        return ErrorClass.ENVIRONMENT
    prefixes = (found.sqlstate[:length] for length in range(5, 1, -1))
    return next((CLASSES[prefix] for prefix in prefixes if prefix in CLASSES), ErrorClass.RECORD)


def cause_of(error: BaseException) -> psycopg.Error | None:
    """Return psycopg's error that this one is, or was raised from."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, psycopg.Error):
        found = found.__cause__
    return found


def may_succeed_later(error: BaseException) -> bool:
    """Say whether the same work may succeed once what it depends on is well: nothing is wrong with the record."""
    return isinstance(error, Unavailable) or classify(error) not in {None, ErrorClass.RECORD}


def may_succeed_at_once(error: BaseException) -> bool:
    """Say whether the same transaction may succeed when done again at once: it lost a race, or its plan was stale."""
    found = cause_of(error)
    if found is None:
        return False
    if isinstance(found, psycopg.errors.UniqueViolation):
        return is_taken_version(found)
    lost = isinstance(found, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure)
    return lost or classify(found) is ErrorClass.STALE_PLAN


def is_taken_version(error: BaseException) -> bool:
    """Say whether the version that an event was appended with is another event's."""
    found = cause_of(error)
    return isinstance(found, psycopg.errors.UniqueViolation) and _key(found) == VERSION_KEY


def _key(error: psycopg.Error) -> str:
    return OF_PARTITION.sub("", error.diag.constraint_name or "")


def _without_sqlstate(error: psycopg.Error) -> ErrorClass:
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return ErrorClass.RECORD  # a value that cannot be sent, such as text with NUL
    if WRONG_AT_START.search(str(error)):
        return ErrorClass.WRONG_SERVER
    return ErrorClass.ENVIRONMENT if REFUSED_AT_START.search(str(error)) else ErrorClass.TRANSIENT


def one_line(error: BaseException) -> str:
    """Return what the database says of an error, on one line, and the remedy where one is known."""
    found = cause_of(error)
    if found is None or found.sqlstate is None:  # of several hosts each has a line
        said = " ".join(str(found or error).split()) or type(error).__name__
    else:
        said = found.diag.message_primary or str(found) or type(found).__name__
    remedy = None if found is None else _remedy(found)
    return f"{said}; {remedy}" if remedy else said


def _remedy(error: psycopg.Error) -> str | None:
    """Return what an operator is to do; None where nothing, or nothing that is known here."""
    if classify(error) is ErrorClass.WRONG_SERVER:
        return WRONG_SERVER_REMEDY
    if classify(error) is not ErrorClass.ENVIRONMENT:
        return None
    if error.sqlstate is None:
        return next((remedy for said, remedy in REMEDIES_AT_START.items() if said in str(error)), None)
    if error.diag.constraint_name in IDENTITY_KEYS:
        return _identity_remedy(error.diag.table_name or "waybill_outbox")
    return next((remedy for prefix, remedy in REMEDIES.items() if error.sqlstate.startswith(prefix)), None)


def _identity_remedy(table: str) -> str:
    column = IDENTITY_COLUMNS.get(table, "id")
    sequence = f"pg_get_serial_sequence('{table}', '{column}')"
    remedy = f"SELECT setval({sequence}, max({column})) FROM {table}"  # noqa: S608 - shown, not run
    return f"the identity was set back, by a restore or a switch-over with logical replication: {remedy}"
