"""How every program connects to PostgreSQL: the URL as libpq reads it, and the settings that each session relies on.

What a URL says of the connection wins (`sslmode`, `application_name`, several hosts, `service`, a socket's folder);
what RELIED_ON says of the session wins over the URL, and over what an administrator set for role or database. But a
`search_path` in the URL's `options` says where the tables are, and wins.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from waybill.database import pooler
from waybill.secret_settings import renewed

RELIED_ON: Final = {
    "DateStyle": "ISO,MDY",  # dates are read and written as ISO 8601
    "IntervalStyle": "postgres",  # the only one that psycopg reads
    "TimeZone": "UTC",  # times without a zone are UTC everywhere
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",  # a backslash in a literal is a backslash
    "bytea_output": "hex",  # half the work of `escape`
    "extra_float_digits": "1",  # a float comes back as it was written
    "array_nulls": "on",  # NULL in an array's text is no string
    "search_path": "public",  # where `migrate` makes the tables, unless the URL says otherwise
    "default_transaction_isolation": "read committed",  # a statement must see what was committed while it waited
    "default_transaction_deferrable": "off",
    "synchronous_commit": "on",  # offsets are committed after the rows: a crash must not lose what was committed
    "lock_timeout": "30s",  # who waits for a lock that nobody gives back tells so
    "statement_timeout": "60s",  # half of the watchdog's patience
    "transaction_timeout": "0",  # a long snapshot is meant where there is one
    "idle_in_transaction_session_timeout": "0",  # as above: rows are folded between two statements
    "idle_session_timeout": "0",  # sessions are kept while there is nothing to do
}
"""Setting → value. Not among them: default_transaction_read_only, by which hosters protect a disk that is full."""

SINCE_17: Final = "transaction_timeout"

# A server that vanished is noticed within seconds, and a standby or read-only server is refused: a name may still lead
# there after a failover. libpq is told both at the start of a session, so it costs no round trip.
DEFAULTS: Final[Mapping[str, object]] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "target_session_attrs": "read-write",
}
SCHEMES: Final = ("postgresql://", "postgres://")
EXAMPLE: Final = "postgresql://user@host:5432/database"  # without a password, which every log line masks
NUMBERS: Final = ("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
LARGEST_PORT: Final = 65535
SEARCH_PATH: Final = re.compile(r"(?:-c\s*|--)search[-_]path\s*=", re.IGNORECASE)
QUOTED: Final = re.compile(r'(?<!parameter): ".*"')  # may hold the password


def check_url(url: str) -> str:
    """Return the URL. Raises ValueError, which says what is wrong with it and shows no password."""
    if not url.startswith(SCHEMES):
        raise ValueError(f"it does not begin with postgresql://; a URL is {EXAMPLE}")
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise ValueError(f"{QUOTED.sub('', str(error).strip())}; a URL is {EXAMPLE}") from None
    if not given.get("dbname") and not given.get("service"):
        raise ValueError(f"it names no database; a URL is {EXAMPLE}")
    for port in str(given.get("port", "")).split(","):
        if port and not (port.isdecimal() and 0 < int(port) <= LARGEST_PORT):
            raise ValueError("its port is no number up to 65535; percent-encode /, @, : and % in user and password")
    for name in NUMBERS:
        if not str(given.get(name, "0")).isdecimal():
            raise ValueError(f"{name}={given[name]} is no whole number")
    _let_libpq_check(given)
    return url


def _let_libpq_check(given: Mapping[str, Any]) -> None:
    """Raise ValueError for an option's value that libpq refuses, which it does before it connects: to nowhere, here."""
    nowhere = {name: value for name, value in given.items() if name not in {"host", "hostaddr", "port"}}
    attempt = pq.PGconn.connect_start(make_conninfo(**nowhere, host="/nonexistent").encode())
    said = attempt.error_message.decode(errors="replace").strip()
    attempt.finish()
    if said and not said.startswith("connection to server"):
        raise ValueError(said.splitlines()[0])


def parameters(
    url: str, program: str, session: Mapping[str, str] | None = None, *, pooled: bool = False
) -> dict[str, Any]:
    """Return what a program passes to `psycopg.connect`; `session` adds to RELIED_ON, or changes it.

    `pooled`: a pooler stands before the server, and takes no settings. A URL from a file is read from there again.
    """
    given = conninfo_to_dict(renewed(url))
    if pooled:
        return {**DEFAULTS, "fallback_application_name": program, "prepare_threshold": None, **given}
    theirs = str(given.get("options", ""))
    relied_on = {**RELIED_ON, **(session or {})}
    if SEARCH_PATH.search(theirs):
        del relied_on["search_path"]
    ours = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in relied_on.items())
    options = f"{theirs} {ours}".strip()
    return {**DEFAULTS, "fallback_application_name": program, **given, "options": options}


def login(url: str) -> dict[str, Any]:
    """Return user and password, of a URL from a file as that has them now."""
    return {name: value for name, value in conninfo_to_dict(renewed(url)).items() if name in {"user", "password"}}


def connect(
    url: str, program: str, session: Mapping[str, str] | None = None, *, standby: bool = False
) -> psycopg.Connection:
    """Connect in autocommit; `standby`: one may answer, and so may a read-only server.

    Blocks up to 5 s a host. Raises psycopg.Error, also where a pooler stands before the server.
    """
    given = parameters(url, program, session)
    if standby:
        given["target_session_attrs"] = "any"
    return open_session(given)


def open_session(given: Mapping[str, Any], *, pooled: bool = False) -> psycopg.Connection:
    """Connect in autocommit by `parameters`, and make sure of what stands between. Raises psycopg.Error."""
    connection = connect_to_any_version(lambda options: psycopg.connect(**options, autocommit=True), given)
    try:
        pooler.check(connection, RELIED_ON, pooled=pooled)
    except psycopg.Error:
        connection.close()
        raise
    return connection


def connect_to_any_version(
    connect: Callable[[dict[str, Any]], psycopg.Connection], given: Mapping[str, Any]
) -> psycopg.Connection:
    """Connect by `parameters`; a server before PostgreSQL 17 does not know SINCE_17, and needs nothing in its place.

    The first connection to such a server is refused and made again without; for the others it is remembered.
    """
    server = (given.get("host"), given.get("port"))
    if server in _before_17:
        connection = connect(_without_since_17(given))
        if connection.info.server_version < pooler.SINCE[SINCE_17]:
            return connection
        connection.close()
        _before_17.discard(server)
    try:
        return connect(dict(given))
    except psycopg.OperationalError as error:
        older = _without_since_17(given)
        if f'"{SINCE_17}"' not in str(error) or older == given:
            raise
    _before_17.add(server)
    return connect(older)


_before_17: Final = set[tuple[Any, Any]]()


def _without_since_17(given: Mapping[str, Any]) -> dict[str, Any]:
    return {**given, "options": str(given.get("options", "")).replace(f"-c {SINCE_17}={RELIED_ON[SINCE_17]}", "")}
