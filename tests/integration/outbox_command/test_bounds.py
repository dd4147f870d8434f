"""A verb that a held lock or a slow statement keeps waiting gives up, and says why and what to do."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from devstack.harness.databases import Server, ServiceDatabase
from outbox_relay.operations.topology import Topology, ask
from tests.support.outbox_command import outbox, settings

ASKING = {
    "status": (),
    "list": (),
    "show": ("0198c0de-7000-7000-8000-000000000001",),
    "dead-letters": (),
    "attention": (),
    "jobs": (),
    "resume": ("--service", "order"),
}


@pytest.fixture
def database(own_databases: Server) -> Iterator[ServiceDatabase]:
    with own_databases.fresh("order_service") as fresh:
        yield fresh


@pytest.mark.slow
def test_a_lock_that_is_not_granted_ends_every_short_verb_and_names_who_holds_it(database: ServiceDatabase):
    topology = settings(order=database.service_url)
    with (
        psycopg.connect(database.superuser_url, application_name="a report") as holder,
        ThreadPoolExecutor(len(ASKING)) as threads,
    ):
        tables = "waybill_outbox, published, received, waybill_due_task, waybill_replay_job, waybill_relay_pause"
        holder.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
        runs = {verb: threads.submit(outbox, verb, *arguments, **topology) for verb, arguments in ASKING.items()}
        ended = {verb: run.result() for verb, run in runs.items()}
        held = f'held by process {holder.info.backend_pid} ("a report", user postgres, '
    for verb, one in ended.items():
        assert one.code == 4, (verb, one)
        assert one.err.startswith(f"outbox: database order: a lock was not granted within 5 s: {held}"), (verb, one.err)
        assert "SELECT pg_terminate_backend(PROCESS), and try again" in one.err, (verb, one.err)


def test_a_statement_that_takes_too_long_is_ended_and_says_what_to_do(database: ServiceDatabase):
    topology = Topology({"order": database.service_url}, None)
    _, failures = ask(topology, ["order"], lambda _, session: session.execute("SELECT pg_sleep(30)"), 1)
    said = "canceling statement due to statement timeout; a statement may take 1 s here: choose fewer events (--since"
    assert failures["order"].startswith(said)
    assert "pg_stat_activity" in failures["order"]
