"""`status` says what keeps a relay out that cannot write its own state."""

from collections.abc import Iterator

import psycopg
import pytest

from devstack.harness.databases import Server, ServiceDatabase
from tests.support.outbox_command import execute, outbox, settings

ROLE = "test_relay"


@pytest.fixture
def database(own_databases: Server) -> Iterator[ServiceDatabase]:
    with own_databases.fresh("order_service") as fresh:
        yield fresh


def told(database: ServiceDatabase) -> str:
    done = outbox("status", **settings(order=database.service_url))
    assert done.code == 1, done
    assert "order: no relay has ever had a session: " in done.err
    return done.err


@pytest.mark.parametrize(
    ("harm", "remedy", "said"),
    [
        (f"ALTER ROLE {ROLE} NOLOGIN", f"ALTER ROLE {ROLE} LOGIN", "may not log in: ALTER ROLE test_relay LOGIN"),
        (
            f"ALTER ROLE {ROLE} VALID UNTIL '2020-01-01'",
            f"ALTER ROLE {ROLE} VALID UNTIL 'infinity'",
            "has expired: ALTER ROLE test_relay VALID UNTIL 'infinity'",
        ),
        (
            f"ALTER ROLE {ROLE} CONNECTION LIMIT 0",
            f"ALTER ROLE {ROLE} CONNECTION LIMIT -1",
            "all of its 0 sessions elsewhere (CONNECTION LIMIT)",
        ),
    ],
)
def test_what_the_role_may_not_is_named_with_the_remedy(database: ServiceDatabase, harm: str, remedy: str, said: str):
    execute(database, harm)
    try:
        assert said in told(database)
    finally:
        execute(database, remedy)


def test_a_right_to_connect_that_was_lost_is_named_with_the_remedy(database: ServiceDatabase):
    execute(database, f'REVOKE CONNECT ON DATABASE "{database.name}" FROM PUBLIC, {ROLE}')
    execute(database, f'GRANT CONNECT ON DATABASE "{database.name}" TO test_service')
    assert f'GRANT CONNECT ON DATABASE "{database.name}" TO {ROLE}' in told(database)


def test_a_role_that_may_log_in_and_does_not_points_to_the_relays_log(database: ServiceDatabase):
    said = told(database)
    assert "may log in and has no session: its relay does not run, cannot reach the server, or gives a wrong" in said
    with psycopg.connect(database.relay_url):
        assert "has 1 sessions here: its relay has logged in, and hangs" in told(database)
