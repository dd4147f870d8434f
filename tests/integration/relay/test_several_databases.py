"""One relay process for several databases: each has a leader of its own, and none waits for another's failure."""

import urllib.request
from collections.abc import Iterator

import pytest

from devstack.harness.databases import Server
from tests.support.relays import Outbox, append, make_topic, read_topic, relay, versions

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def other(outbox: Outbox, database_server: Server) -> Iterator[Outbox]:
    """A second service's outbox, with a topic of its own on the same broker."""
    with database_server.fresh("inventory_service") as database:
        second = Outbox(database, outbox.kafka, make_topic(outbox.kafka))
        second.execute("INSERT INTO waybill_schema_id SELECT 'waybill.order.OrderPlaced', 1, 77")
        yield second


def _both(first: Outbox, second: Outbox) -> dict[str, str]:
    """Both spellings of a service's name, and a URL whose first host is dead."""
    several_hosts = first.database.relay_url.replace("@", "@127.0.0.1:1,")
    return {
        "WAYBILL_OUTBOX_DATABASES": f"order={several_hosts},inventory_service={second.database.relay_url}",
        "WAYBILL_RELAY_WAKE_UP": "",
    }


def test_each_database_is_served_under_its_services_name(outbox: Outbox, other: Outbox):
    with relay(outbox, **_both(outbox, other)) as running, outbox.connect() as one, other.connect() as two:
        for version in range(1, 101):
            append(one, outbox.topic, "a", version)
            append(two, other.topic, "a", version)
        outbox.wait_for_cursor(100)
        other.wait_for_cursor(100)
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
        assert running.stop() == 0
    sources = set()
    for served in (outbox, other):
        records = read_topic(served.kafka, served.topic)
        assert versions(records) == {"a": list(range(1, 101))}
        sources |= {record.headers["ce_source"] for record in records}
    assert sources == {"/waybill/order_service", "/waybill/inventory_service"}
    for service in ("order_service", "inventory_service"):
        assert f'outbox_relay_leader{{service="{service}"}} 1.0' in metrics


@pytest.mark.parametrize("spelling", ["bookings", "bookings_service"])
def test_records_have_the_name_that_a_django_project_has_recorded(other: Outbox, spelling: str):
    other.execute("UPDATE waybill_service SET name = 'bookings'")
    told = {"WAYBILL_OUTBOX_DATABASES": f"{spelling}={other.database.relay_url}", "WAYBILL_RELAY_WAKE_UP": ""}
    with relay(other, **told), other.connect() as writer:
        append(writer, other.topic, "a", 1)
        other.wait_for_cursor(1)
    assert [one.headers["ce_source"] for one in read_topic(other.kafka, other.topic)] == ["/waybill/bookings"]


def test_a_database_that_is_away_costs_the_others_nothing(outbox: Outbox):
    both = f"payment_service={NOWHERE},order_service={outbox.database.relay_url}"
    with relay(outbox, WAYBILL_OUTBOX_DATABASES=both, WAYBILL_RELAY_WAKE_UP="") as running, outbox.connect() as writer:
        append(writer, outbox.topic, "a", 1)
        outbox.wait_for_cursor(1)
        reason = running.wait_for("the reason", running.unready)
        assert reason.startswith("payment_service: database: connection")
        assert "order_service" not in reason


def test_an_outbox_is_found_in_the_schema_that_the_url_names(other: Outbox):
    other.execute("ALTER SCHEMA public RENAME TO shop")
    other.execute(f"ALTER DATABASE {other.database.name} SET search_path = shop")  # for the test's own sessions
    url = f"{other.database.relay_url}?options=-csearch_path%3Dshop"
    told = {"WAYBILL_OUTBOX_DATABASES": f"inventory={url}", "WAYBILL_RELAY_WAKE_UP": ""}
    with relay(other, **told) as running, other.connect() as writer:
        append(writer, other.topic, "a", 1)
        other.wait_for_cursor(1)
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/metrics", timeout=5) as answer:
            size = 'waybill_table_bytes{service="inventory_service",table="waybill_outbox"} '
            (told,) = (line for line in answer.read().decode().splitlines() if line.startswith(size))
        assert float(told.removeprefix(size)) > 0
    assert versions(read_topic(other.kafka, other.topic)) == {"a": [1]}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"WAYBILL_OUTBOX_DATABASES": "order_service"}, "'order_service' is not service=value"),
        ({"WAYBILL_OUTBOX_DATABASES": f"a={NOWHERE}", "WAYBILL_RELAY_WAKE_UP": "b=:1"}, "no database is given for b"),
        ({"WAYBILL_KAFKA_PROPERTIES_FILE": "/nowhere"}, "cannot read /nowhere"),
    ],
)
def test_settings_that_make_no_sense_end_the_relay_in_one_line(outbox: Outbox, settings: dict[str, str], said: str):
    with relay(outbox, **settings) as running:
        assert running.process.wait(20) == 1
        assert said in running.log.splitlines()[-1]
