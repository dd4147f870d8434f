"""Why a database gave no answer, told apart by what its operator does next: nothing but its own finding is wrong.

Away, refusing a login, without a table, without a right, too slow, or failing in a way that none of these is. By the
SQLSTATE (waybill/database/sqlstate.py); where a connection could not be made libpq passes on none, only what was said.
"""

from contextlib import suppress
from typing import Final

import psycopg

from outbox_relay.databases import full_name
from outbox_relay.operations import names
from outbox_relay.operations.diagnosis.finding import Finding, Problem, finding
from waybill.database.sqlstate import REFUSED_AT_START, ErrorClass, classify, one_line

# The longest prefix decides; what is not here and has an SQLSTATE is an error of another kind.
BY_SQLSTATE: Final = {
    "42P01": Problem.TABLES_MISSING,
    "42703": Problem.TABLES_MISSING,  # a column
    "42883": Problem.TABLES_MISSING,  # a function
    "3F": Problem.TABLES_MISSING,  # a schema
    "42501": Problem.RIGHTS_MISSING,
    "28": Problem.LOGIN_REFUSED,
    "57014": Problem.DATABASE_SLOW,
    "55P03": Problem.DATABASE_SLOW,
}
UNANSWERED: Final = frozenset(
    {
        Problem.DATABASE_AWAY,
        Problem.LOGIN_REFUSED,
        Problem.TABLES_MISSING,
        Problem.RIGHTS_MISSING,
        Problem.DATABASE_SLOW,
        Problem.DATABASE_ERROR,
    }
)
"""Of a database that is among these nothing else is known."""


def away(service: str, why: str) -> Finding:
    """Return the finding of a connection that could not be made; `why`: what the server said, or libpq."""
    problem = Problem.LOGIN_REFUSED if REFUSED_AT_START.search(why) else Problem.DATABASE_AWAY
    return finding(problem, service, why, None, 1, f"outbox status --service {service}")


def failed(service: str, connection: psycopg.Connection, error: psycopg.Error) -> Finding:
    """Return the finding of a question that a database did not answer."""
    problem = _problem(connection, error)
    if problem in {Problem.TABLES_MISSING, Problem.RIGHTS_MISSING}:
        next_ = _migrate(service, connection)
    else:
        next_ = f"outbox status --service {service}"
    return finding(problem, service, one_line(error), None, 1, next_)


def _problem(connection: psycopg.Connection, error: psycopg.Error) -> Problem:
    state = error.sqlstate
    if state is None:  # raised by the client: the connection is lost, or an operation says what the tables lack
        return Problem.DATABASE_AWAY if connection.closed else Problem.TABLES_MISSING
    known = next((BY_SQLSTATE[state[:length]] for length in (5, 2) if state[:length] in BY_SQLSTATE), None)
    if known is not None:
        return known
    return Problem.DATABASE_AWAY if classify(error) is ErrorClass.TRANSIENT else Problem.DATABASE_ERROR


def _migrate(service: str, connection: psycopg.Connection) -> str:
    """Return the command that makes a service's tables and grants its rights: a project has its own."""
    with suppress(psycopg.Error):
        name = names.recorded(service, connection)
        if name.settings_module:
            return "python manage.py migrate"
        return f"python -m waybill {name.group} migrate"
    return f"python -m waybill {full_name(service)} migrate"
