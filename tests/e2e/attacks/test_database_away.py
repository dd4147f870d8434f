"""While the database is away or hangs, every client is told so in time, and nobody has to restart anything."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from tests.support.attacker import ORDER, Attacker, answer
from tests.support.postgres import PostgresServer
from tests.support.programs import Program
from waybill.rest.serving.connections import MOST_WAITED_SECONDS
from waybill.runtime.settings import Settings

TIME_OUT_SECONDS = 6  # a connection waits for 5
THREADS = Settings.model_fields["web_threads"].default
READ = "/v1/orders?limit=1"


def test_with_the_database_stopped_reads_and_writes_get_503_in_time_and_it_recovers_by_itself(
    own_server: PostgresServer, attacker: Attacker, web: Program
) -> None:
    assert web.order()[0] == 202
    own_server.stop()
    try:
        for _ in range(3):  # the first meets a session that is lost, the others have none
            for asked in (attacker.head(path=READ), attacker.post(json.dumps(ORDER).encode())):
                began = time.monotonic()
                refused = attacker.say(asked)
                assert time.monotonic() - began < TIME_OUT_SECONDS
                refused.assert_problem(503, "database_unavailable")
                assert refused.headers["retry-after"] == "1"
                assert refused.json["retryable"] is True
        assert web.ask("/livez")[0] == 200
    finally:
        own_server.start()
    wait_until(lambda: web.order()[0] == 202, deadline_seconds=20, what="an order")
    wait_until(lambda: web.unready() is None, deadline_seconds=20, what="readiness")


@contextmanager
def every_thread_hanging(own_database: ServiceDatabase, attacker: Attacker, web: Program) -> Iterator[None]:
    """Let a lock in the database hold whatever the program's threads are asked."""
    with psycopg.connect(own_database.superuser_url) as holder:
        holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        with attacker.holding(THREADS, attacker.head(path=READ)):
            wait_until(lambda: attacker.say(attacker.head(path=READ)).status == 503, deadline_seconds=20, what="503")
            yield
        holder.rollback()
    wait_until(lambda: web.order()[0] == 202, deadline_seconds=20, what="an order")


def test_who_waits_for_a_thread_is_told_in_time_while_all_threads_hang_on_a_lock(
    own_database: ServiceDatabase, attacker: Attacker, web: Program
) -> None:
    with every_thread_hanging(own_database, attacker, web):
        began = time.monotonic()
        refused = attacker.say(attacker.head(path=READ))
        assert time.monotonic() - began < 4
        refused.assert_problem(503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers.get("connection") != "close"  # it was read, and waited its time


def test_a_request_that_nobody_read_in_time_is_refused_unread_while_every_thread_is_busy(
    own_database: ServiceDatabase, attacker: Attacker, web: Program
) -> None:
    """A program that is stopped for a moment reads as late as one that cannot keep up."""
    with every_thread_hanging(own_database, attacker, web):
        web.process.send_signal(signal.SIGSTOP)
        try:
            with attacker.holding(1, attacker.head(path=READ)) as waiting:
                sent = time.monotonic()
                wait_until(
                    lambda: time.monotonic() - sent > 2 * MOST_WAITED_SECONDS, deadline_seconds=5, what="a while"
                )
                web.process.send_signal(signal.SIGCONT)
                refused = answer(waiting[0])
        finally:
            web.process.send_signal(signal.SIGCONT)
        refused.assert_problem(503, "overloaded")
        assert refused.headers["connection"] == "close"
