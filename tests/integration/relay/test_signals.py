"""What a relay shows at /metrics is there from its start and is the truth, whoever leads and whatever is away."""

import math
import signal
import time

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from outbox_relay.relay.dead_letters import Reason
from tests.support.relays import Outbox, RelayProcess, append, relay
from tests.support.scrape import scrape, scraped_text
from waybill.observability.metrics import METRICS

OWN = {"service": "order_service"}
RELAYS = {name for name, metric in METRICS.items() if "relay" in metric.programs}


def value(process: RelayProcess, name: str, **labels: str) -> float:
    return scrape(process.port)[name, frozenset((OWN | labels).items())]


def families(process: RelayProcess) -> set[str]:
    text = scraped_text(f"http://127.0.0.1:{process.port}")
    return {family.name for family in text_string_to_metric_families(text)}


def test_a_relay_that_cannot_log_in_has_all_its_series(outbox: Outbox):
    wrong = outbox.database.relay_url.replace(":test@", ":wrong@")
    with relay(outbox, WAYBILL_DATABASE_URL=wrong) as running:
        running.wait_for("an answer", lambda: running.unready() not in {None, "does not answer"})
        running.wait_for("why", lambda: value(running, "waybill_waiting", part="database") == 1)
        assert {name.removesuffix("_total") for name in RELAYS} <= families(running)
        assert value(running, "waybill_database_up") == 0
        assert math.isnan(value(running, "outbox_oldest_unpublished_seconds"))
        assert value(running, "outbox_relay_leader") == 0
        assert value(running, "outbox_publish_failures_total", reason="broker") == 0


@pytest.mark.slow
def test_a_deposed_leader_and_the_one_that_follows_show_the_same_age(outbox: Outbox):
    with outbox.connect() as writer, relay(outbox) as first:
        first.wait_until_leading()
        first.signal(signal.SIGSTOP)
        with relay(outbox) as second:
            append(writer, outbox.topic, "a", 1)
            second.wait_until_leading(20)
            first.signal(signal.SIGCONT)
            first.wait_for("standing by", lambda: first.events("relay_stands_by"))
            outbox.wait_for_cursor(1)
            for process, leads in ((first, 0), (second, 1)):
                process.wait_for("leader", lambda p=process, n=leads: value(p, "outbox_relay_leader") == n)
                process.wait_for("no age", lambda p=process: value(p, "outbox_oldest_unpublished_seconds") == 0)
                assert value(process, "outbox_heartbeat_seconds") < 10


def test_what_waits_is_told_by_a_standby_too_while_the_leader_may_not_publish(outbox: Outbox):
    outbox.execute("INSERT INTO waybill_relay_pause (paused_by, reason) VALUES ('a test', 'to see the age')")
    with outbox.connect() as writer, relay(outbox) as leader, relay(outbox) as other:
        append(writer, outbox.topic, "a", 1)
        for process in (leader, other):
            process.wait_for("an answer", lambda p=process: p.unready() != "does not answer")
            process.wait_for("an age", lambda p=process: value(p, "outbox_oldest_unpublished_seconds") > 0)


def test_a_dead_letter_is_logged_with_its_event_and_counted(outbox: Outbox):
    with outbox.connect() as writer, relay(outbox, WAYBILL_RELAY_TOPIC_GRACE_SECONDS="0") as running:
        running.wait_until_leading()
        append(writer, "no.such.topic.v1", "a", 1)
        (logged,) = running.wait_for("a dead letter", lambda: running.events("dead_lettered"))
        (event_id,) = outbox.execute("SELECT event_id::text FROM waybill_outbox")[0]
        assert (logged["event_id"], logged["key"], logged["reason"]) == (event_id, "a", Reason.UNKNOWN_TOPIC)
        running.wait_for("the count", lambda: value(running, "outbox_dead_letters", reason="unknown_topic") == 1)


@pytest.mark.slow
def test_a_scrape_answers_while_the_database_is_away_or_locked(outbox: Outbox):
    with relay(outbox) as running:
        running.wait_until_leading()
        with psycopg.connect(outbox.database.superuser_url) as holder:
            holder.execute("LOCK TABLE waybill_outbox")
            running.wait_for("down", lambda: value(running, "waybill_database_up") == 0)
            started = time.monotonic()
            assert math.isnan(value(running, "outbox_oldest_unpublished_seconds"))
            assert time.monotonic() - started < 5
        running.wait_for("up", lambda: value(running, "waybill_database_up") == 1, 15)


@pytest.mark.parametrize(
    "table", ["waybill_outbox", "published", "received", "waybill_due_task", "waybill_idempotency_key"]
)
def test_the_size_of_each_table_that_grows_is_told(outbox: Outbox, table):
    outbox.execute("ANALYZE waybill_outbox, published, received, waybill_due_task, waybill_idempotency_key")
    with relay(outbox) as running:
        running.wait_until_leading()
        assert value(running, "waybill_table_bytes", table=table) > 0
        assert value(running, "waybill_table_rows", table=table) >= 0
