"""What a service reacts to is read from its own database, and nothing is guessed where that is missing."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import psycopg
import pytest

from devstack.harness import databases
from devstack.harness.databases import ServiceDatabase
from inventory_service import reactions as written
from inventory_service.service import service as inventory
from outbox_relay.operations import names
from outbox_relay.operations.names import ServiceName
from outbox_relay.operations.reactions import Reactions, recorded
from schemas.events import OrderConfirmed, OrderPlaced
from tests.support.databases import in_use
from tests.support.outbox_command import execute, outbox, place_orders, settings
from waybill.consumer import loop
from waybill.inbox import reactions
from waybill.inbox.handlers import Handlers

PLACED, CONFIRMED = OrderPlaced.event_type, OrderConfirmed.event_type
REPLAY = ("replay", "--positions", "1..", "--execute", "--reason", "a test", "--service", "order")
NOT_RECORDED = {
    "DROP TABLE waybill_reaction, waybill_reactions_recorded": "there is no table waybill_reaction",
    "TRUNCATE waybill_reaction, waybill_reactions_recorded": "table waybill_reactions_recorded is empty",
}
NAME_NOT_RECORDED = {
    "DROP TABLE waybill_service": "there is no table waybill_service",
    "TRUNCATE waybill_service": "table waybill_service is empty",
}


@pytest.fixture
def database(database_server: databases.Server) -> Iterator[ServiceDatabase]:
    """The inventory's database, migrated."""
    with database_server.fresh("inventory_service") as database:
        yield database


def read(database: ServiceDatabase) -> Reactions:
    with psycopg.connect(database.service_url, autocommit=True) as connection:
        return recorded("inventory", connection)


def name(database: ServiceDatabase) -> ServiceName:
    with psycopg.connect(database.service_url, autocommit=True) as connection:
        return names.recorded("inventory", connection)


def release(*functions: str):
    """The inventory with these reactions alone."""
    return replace(inventory, reactions=SimpleNamespace(**{name: getattr(written, name) for name in functions}))


def test_migrate_records_what_the_service_reacts_to(database: ServiceDatabase):
    assert read(database).types == set(inventory.reaction_to)
    assert read(database).topics == inventory.topics


def test_a_reaction_that_a_release_has_no_longer_counts_for_a_replay_until_the_release_is_rolled_out(
    database: ServiceDatabase,
):
    with in_use(database.service_url):
        reactions.record(release("order_placed"))
        found = read(database)
        assert (found.types, CONFIRMED in found.removed) == ({PLACED}, True)
        execute(
            database, "UPDATE waybill_reaction SET removed_at = now() - interval '8 days' WHERE removed_at IS NOT NULL"
        )
        reactions.record(release("order_placed"))
        assert (read(database).types, read(database).removed) == ({PLACED}, frozenset())
        reactions.record(inventory)
    assert (read(database).types, read(database).removed) == (set(inventory.reaction_to), frozenset())


def test_a_service_that_reacts_to_nothing_differs_from_one_that_has_not_recorded(database: ServiceDatabase):
    execute(database, "TRUNCATE waybill_reaction")
    with in_use(database.service_url):
        reactions.record(release())
    assert read(database) == Reactions()


@pytest.mark.parametrize(("statement", "why"), NOT_RECORDED.items())
def test_nothing_is_guessed_where_nothing_is_recorded(database: ServiceDatabase, statement: str, why: str):
    execute(database, statement)
    with pytest.raises(psycopg.Error) as refused:
        read(database)
    assert why in str(refused.value)
    assert "inventory has not recorded what it reacts to" in str(refused.value)
    assert "run its migrations, as in python manage.py migrate, or start its consumer" in str(refused.value)


def test_migrate_records_the_services_name(database: ServiceDatabase):
    assert name(database) == ServiceName("inventory_service", settings_module=None)


def test_a_consumer_records_the_name_that_it_consumes_by(database: ServiceDatabase):
    execute(database, "DELETE FROM waybill_service")
    with in_use(database.service_url):
        reactions.record(Handlers("loyalty", ()))
    assert name(database).group == "loyalty"


@pytest.mark.parametrize(("statement", "why"), NAME_NOT_RECORDED.items())
def test_no_name_is_guessed_where_none_is_recorded(database: ServiceDatabase, statement: str, why: str):
    execute(database, statement)
    with pytest.raises(psycopg.OperationalError) as refused:
        name(database)
    assert why in str(refused.value)
    assert "inventory has not recorded its name" in str(refused.value)
    asked = outbox(
        *("skip", "--service", "inventory", "--topic", OrderPlaced.topic, "--partition", "0", "--offset", "0"),
        **settings(inventory=database.service_url),
    )
    assert (asked.code, asked.out) == (4, "")
    assert "inventory has not recorded its name" in asked.err


def test_a_database_without_an_inbox_receives_nothing(database: ServiceDatabase):
    execute(database, "DROP TABLE waybill_reaction, waybill_reactions_recorded, waybill_consumer_position")
    assert read(database) == Reactions()


@pytest.mark.parametrize("statement", NOT_RECORDED)
def test_a_replay_is_refused_where_a_service_has_not_recorded_what_it_reacts_to(
    order_database: ServiceDatabase, database: ServiceDatabase, statement: str
):
    place_orders(1)
    execute(order_database, "UPDATE waybill_outbox_cursor SET position = (SELECT max(position) FROM waybill_outbox)")
    execute(database, statement)
    refused = outbox(*REPLAY, **settings(order=order_database.service_url, inventory=database.service_url))
    assert (refused.code, refused.out, len(refused.err.splitlines())) == (4, "", 1)
    assert "inventory has not recorded what it reacts to" in refused.err
    assert execute(order_database, "SELECT count(*) FROM waybill_replay_job") == [(0,)]


def test_a_consumer_records_at_its_start_and_tries_again_where_it_cannot(database: ServiceDatabase):
    with in_use(database.service_url):
        execute(database, "ALTER TABLE waybill_reaction RENAME TO away")
        assert loop._record_reactions(inventory) == loop.RECORD_SECONDS
        execute(database, "ALTER TABLE away RENAME TO waybill_reaction")
        execute(database, "TRUNCATE waybill_reaction, waybill_reactions_recorded")
        assert loop._record_reactions(inventory) == float("inf")
    assert read(database).types == set(inventory.reaction_to)
