"""What an administrator sets for a role or database changes nothing that a program relies on."""

import pytest

from tests.support.outbox_command import outbox, settings
from tests.support.own_shop import Shop

HOSTILE = {
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "'iso_8601'",
    "TimeZone": "'America/St_Johns'",
    "client_encoding": "'LATIN1'",
    "standard_conforming_strings": "off",
    "bytea_output": "'escape'",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "search_path": "'pg_catalog'",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "lock_timeout": "'1ms'",
    "statement_timeout": "'1ms'",
    "transaction_timeout": "'1ms'",
    "idle_in_transaction_session_timeout": "'1ms'",
    "idle_session_timeout": "'1ms'",
}
ROLES = ("test_owner", "test_service", "test_relay")


@pytest.fixture
def hostile(shop: Shop) -> Shop:
    for name, value in HOSTILE.items():
        shop.execute(f"ALTER DATABASE {shop.database.name} SET {name} = {value}")
        for role in ROLES:
            shop.execute(f"ALTER ROLE {role} IN DATABASE {shop.database.name} SET {name} = {value}")
    return shop


@pytest.mark.slow
def test_defaults_of_role_and_database_change_nothing_in_any_program(hostile: Shop) -> None:
    with (
        hostile.run("web") as web,
        hostile.run("consumer") as consumer,
        hostile.run("worker") as worker,
        hostile.run("relay") as relay,
    ):
        for one in (web, consumer, worker, relay):
            one.wait_for("readiness", lambda one=one: one.unready() is None, 60)
        hostile.list_product("LAMP")
        consumer.wait_for("the price", lambda: hostile.priced("LAMP"), 60)
        status, said = web.order()
        assert status == 202, said
        assert web.ask("/v1/orders")[0] == 200
        relay.wait_for("publication", lambda: not hostile.unpublished())
        assert not worker.events("waiting"), worker.log
        assert hostile.dead_letters() == []
        places = settings(hostile.bootstrap, order=hostile.database.service_url)
        for verb in (["list", "--json"], ["status", "--json"], ["rebuild", "--check"], ["verify", "--json"]):
            done = outbox(*verb, **places)
            assert done.code == 0, (verb, done.err, done.out)
