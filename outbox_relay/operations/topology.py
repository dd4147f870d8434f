"""Where the outboxes and the broker are, and one question put to several databases.

Told by settings, or found in the `state.json` of a local stack. A database that does not answer costs its own answer,
not the others': what could be asked is shown, what could not is said.
"""

import json
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import psycopg
from confluent_kafka import KafkaError

from outbox_relay.databases import VARIABLE, database_urls, short_name
from waybill.database import lock_holders, postgres_client
from waybill.database.sqlstate import one_line
from waybill.kafka import access, kafka_client
from waybill.secret_settings import secret_of

LOCAL_STACK: Final = Path(".waybill")  # in the working directory, or in a folder above it
PROGRAM: Final = "outbox"
# The command must not queue behind a lock for long: whoever comes after it would wait with it.
LOCK_SECONDS: Final = 5
STATEMENT_SECONDS: Final = 30  # where the work does not grow with the log; UNBOUNDED where it does
UNBOUNDED: Final = 0  # for work that grows with the log, such as a proof of all of it
REMEDY: Final = f"set {VARIABLE}=order_service=postgresql://…,payment_service=… or start the local stack: make up"
SLOW: Final = (
    "choose fewer events (--since, --positions, --limit), or see in pg_stat_activity what keeps the server busy"
)

Answer = TypeVar("Answer")


class UsageError(Exception):
    """What was asked makes no sense; the message names the value and the remedy."""


class DependencyDown(Exception):
    """A database or the broker does not answer."""


@dataclass(frozen=True, slots=True)
class Topology:
    """Service name, as in `order`, → URL of its database; and Kafka's bootstrap servers, where known.

    `properties_file` says what else a client of Kafka needs: security, mostly. `folder` is where the services' programs
    are started; None: where this one was.
    """

    databases: Mapping[str, str]
    kafka: str | None
    properties_file: str | None = None
    folder: Path | None = None

    def chosen(self, services: Collection[str]) -> list[str]:
        """Return the services asked for, all where none is; raises UsageError for an unknown one."""
        names = [short_name(name) for name in services]
        for name in names:
            if name not in self.databases:
                raise UsageError(f"no service {name!r}; known are {', '.join(self.databases)}")
        return names or list(self.databases)

    @property
    def broker(self) -> Mapping[str, str]:
        """Return a Kafka client's options; raises UsageError where nobody told the servers, or the file is wrong."""
        if self.kafka is None:
            raise UsageError("no broker known; set WAYBILL_KAFKA_BOOTSTRAP=host:port")
        try:
            options = kafka_client.connection(self.kafka, self.properties_file)
            if self.properties_file:
                access.check(options)
        except ValueError as error:
            raise UsageError(str(error)) from None
        return options


def broker_down(kafka: Mapping[str, str], error: BaseException) -> DependencyDown:
    """Return that the broker does not answer, with the reason; blocks up to 2 s to learn whether it refuses us."""
    cause: Any = error.args[0] if error.args else error
    said = access.reason(kafka, cause) if isinstance(cause, KafkaError) else one_line(error)
    return DependencyDown(f"Kafka at {kafka['bootstrap.servers']}: {said}")


def find_topology(environment: Mapping[str, str]) -> Topology:
    """Return what the settings say, or else the local stack's state.json. Raises UsageError."""
    try:
        given = secret_of(VARIABLE, environment)
    except ValueError as error:
        raise UsageError(str(error)) from None
    bootstrap = environment.get("WAYBILL_KAFKA_BOOTSTRAP")
    properties = environment.get("WAYBILL_KAFKA_PROPERTIES_FILE")
    if given:
        return Topology(_databases(given), bootstrap, properties)
    file = _local_stack(environment.get("WAYBILL_HOME")) / "state.json"
    try:
        state = cast("dict[str, Any]", json.loads(file.read_text(encoding="utf-8")))
        databases = {short_name(name): url for name, url in state["databases"].items()}
        return Topology(databases, bootstrap or state.get("kafka"), properties, Path(state["checkout"]))
    except OSError:
        raise UsageError(f"no databases known, and no {file}; {REMEDY}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{file} does not name the databases; {REMEDY}") from None


def _local_stack(home: str | None) -> Path:
    """Return the folder of the local stack: the one that is named, or the nearest from here up."""
    if home:
        return Path(home)
    here = Path.cwd()
    return next(
        (one / LOCAL_STACK for one in (here, *here.parents) if (one / LOCAL_STACK).is_dir()), here / LOCAL_STACK
    )


def _databases(given: str) -> dict[str, str]:
    try:
        return {short_name(name): url for name, url in database_urls(given).items()}
    except ValueError as error:
        raise UsageError(str(error)) from None


def ask(
    topology: Topology,
    services: Collection[str],
    question: Callable[[str, psycopg.Connection], Answer],
    statement_seconds: int = STATEMENT_SECONDS,
) -> tuple[dict[str, Answer], dict[str, str]]:
    """Put a question to each service's database; returns the answers, and why there is none, by service."""
    answers: dict[str, Answer] = {}
    failures: dict[str, str] = {}
    for service in services:
        try:
            with session(topology.databases[service], statement_seconds) as connection:
                answers[service] = question(service, connection)
        except psycopg.Error as error:
            failures[service] = one_line(error)
    return answers, failures


@contextmanager
def sessions(
    topology: Topology, services: Collection[str], statement_seconds: int = STATEMENT_SECONDS
) -> Generator[tuple[dict[str, psycopg.Connection], dict[str, str]]]:
    """Connect to several databases for the length of the block; yields service → connection, and why there is none.

    For a question that needs more than one of them at once. Each statement is `bounded`; an error that is raised in
    the block is handed on as it came. A service without a database here has neither.
    """
    opened: dict[str, psycopg.Connection] = {}
    failures: dict[str, str] = {}
    with ExitStack() as stack:
        for service in services:
            if service not in topology.databases:
                continue
            try:
                opened[service] = stack.enter_context(session(topology.databases[service], statement_seconds))
            except psycopg.Error as error:
                failures[service] = one_line(error)
        yield opened, failures


@contextmanager
def session(url: str, statement_seconds: int = UNBOUNDED) -> Generator[psycopg.Connection]:
    """Connect for the length of the block, in autocommit; each statement is `bounded`. Raises psycopg.Error."""
    with connect(url, statement_seconds) as connection, bounded(connection, url, statement_seconds):
        yield connection


def connect(url: str, statement_seconds: int = STATEMENT_SECONDS) -> psycopg.Connection:
    """Connect in autocommit; blocks up to 5 s a host. Raises psycopg.Error."""
    limits = {"statement_timeout": f"{statement_seconds}s", "lock_timeout": f"{LOCK_SECONDS}s"}
    return postgres_client.connect(url, PROGRAM, limits, standby=True)


@contextmanager
def bounded(connection: psycopg.Connection, url: str, statement_seconds: int = STATEMENT_SECONDS) -> Generator[None]:
    """Let the error of a statement that was cut off say what was in its way, and what to do. Raises psycopg.Error."""
    with lock_holders.watched(url, PROGRAM, connection.info.backend_pid) as holders:
        try:
            yield
        except psycopg.errors.LockNotAvailable:
            said = lock_holders.not_granted(holders, f"{LOCK_SECONDS} s", "try again")
            raise psycopg.OperationalError(said) from None
        except psycopg.errors.QueryCanceled as error:
            if not statement_seconds:
                raise
            said = f"{one_line(error)}; a statement may take {statement_seconds} s here: {SLOW}"
            raise psycopg.OperationalError(said) from None
