"""A log is divided into ranges while it is used, and loses the oldest of them without anybody missing an event."""

import gzip
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import transaction
from psycopg import sql

from devstack.harness.databases import Server, ServiceDatabase
from order_service.domain import MarkOutOfStock
from order_service.service import service
from outbox_relay.operations.events import restore
from outbox_relay.operations.partitions import adopting, dropping, layout
from outbox_relay.operations.replay import plan
from outbox_relay.operations.replay.options import Options
from outbox_relay.relay.safety import positions
from tests.support import ranges
from tests.support.orders import cause, placed
from tests.support.outbox_command import Ended, execute, outbox, place_orders, settings
from tests.support.relays import Outbox, append, append_many, relay
from tests.support.verifying import send, verify
from waybill.database.sqlstate import ErrorClass, classify, is_taken_version
from waybill.deciders import unit_of_work
from waybill.deciders.archive import ArchiveMissing
from waybill.deciders.rebuild import Difference, Watch, check
from waybill.deciders.unit_of_work import Caused
from waybill.outbox import append as append_event

SIZE = 1_000
FIRST_RANGE = "SELECT to_regclass('public_partitions.waybill_outbox_1')"
WRITTEN = "SELECT aggregate_id, aggregate_version FROM waybill_outbox ORDER BY position"


@pytest.fixture
def owner(order_database: ServiceDatabase) -> Iterator[psycopg.Connection]:
    """The owner of this process's database."""
    with ranges.owner_of(order_database) as connection:
        yield connection


def ended_orders(count: int) -> list[UUID]:
    """Place orders that end at once."""
    ids = place_orders(count)
    for order_id in ids:
        unit_of_work.handle(service, [Caused(MarkOutOfStock(order_id=order_id), cause())])
    return ids


def command(database: ServiceDatabase, *arguments: str) -> Ended:
    return outbox(*arguments, WAYBILL_OWNER_DATABASE_URL=database.owner_url, **settings(order=database.service_url))


def test_a_log_is_divided_while_it_is_appended_to_and_published(own_outbox: Outbox):
    stop = Event()

    def write() -> int:
        version = 0
        with own_outbox.connect() as writer:
            while not stop.is_set():
                version += 1
                append(writer, own_outbox.topic, "a", version)
        return version

    with relay(own_outbox), ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        with ranges.owner_of(own_outbox.database) as owner:
            after = ranges.divide(owner, SIZE)
            assert ranges.names(owner) == ["1", str(after), str(after + SIZE), "open"]
        stop.set()
        last = writing.result(20)
        with own_outbox.connect() as writer:
            assert append(writer, own_outbox.topic, "a", last + 1) == last + 1
        own_outbox.wait_for_cursor(last + 1)
    done, counts, faults = verify(own_outbox)
    assert (done.code, faults, counts["events"]) == (0, [], last + 1)


def test_a_division_waits_for_nobody_for_long_and_is_begun_again(
    owner, order_database: ServiceDatabase, monkeypatch: pytest.MonkeyPatch
):
    with psycopg.connect(order_database.service_url) as writing:
        append(writing, None, "a", 1)
        monkeypatch.setattr(layout, "PATIENCE_SECONDS", 0.0)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            ranges.divide(owner, SIZE)
    adopting._note_versions(owner, sql.Identifier("public"))  # as a run leaves it that was killed after its first step
    ranges.divide(owner, SIZE)
    assert owner.execute("SELECT aggregate_id, version FROM waybill_aggregate_version").fetchall() == [("a", 1)]


def test_rights_are_those_of_before_and_nobody_has_one_on_a_range(owner, order_database: ServiceDatabase):
    place_orders(1)
    rights = "SELECT privilege_type, column_name FROM information_schema.column_privileges"
    rights += " WHERE table_name = 'waybill_outbox' AND grantee = 'test_service' ORDER BY 1, 2"
    before = execute(order_database, rights)
    ranges.divide(owner, SIZE)
    assert execute(order_database, rights) == before
    for statement in (
        "UPDATE waybill_outbox SET payload = ''",
        "DELETE FROM waybill_outbox",
        "SELECT nextval('waybill_outbox_position_seq')",
        "UPDATE waybill_aggregate_version SET version = 0",
        "DELETE FROM public_partitions.waybill_outbox_1",
    ):
        with (
            psycopg.connect(order_database.service_url) as session,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            session.execute(statement)
    with psycopg.connect(order_database.relay_url, autocommit=True) as session:
        assert positions.check_server(session, 0) == 0


@pytest.mark.parametrize("isolation", psycopg.IsolationLevel)
def test_a_version_is_taken_once_over_all_ranges(
    owner, order_database: ServiceDatabase, isolation: psycopg.IsolationLevel
):
    """The unique key of a range knows nothing of the next one."""
    after = ranges.divide(owner, SIZE)
    with (
        psycopg.connect(order_database.service_url) as first,
        psycopg.connect(order_database.service_url) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        second.isolation_level = isolation
        second.execute("SELECT")  # its snapshot is older than what the first one commits
        append(first, None, "a", 1)
        ranges.move_to(owner, after)
        late = pool.submit(append, second, None, "a", 1)
        first.commit()
        with pytest.raises((psycopg.errors.UniqueViolation, psycopg.errors.SerializationFailure)) as refused:
            late.result(20)
    assert is_taken_version(refused.value) or classify(refused.value) is ErrorClass.TRANSIENT
    assert execute(order_database, WRITTEN) == [("a", 1)]


def test_a_version_that_one_range_has_twice_is_known_as_taken(owner, order_database: ServiceDatabase):
    ranges.divide(owner, SIZE)
    with psycopg.connect(order_database.service_url, autocommit=True) as writer:
        append(writer, None, "a", 1)
        with pytest.raises(psycopg.errors.UniqueViolation) as refused:
            append(writer, None, "a", 1)
    assert is_taken_version(refused.value)


def test_an_aggregate_whose_events_are_all_archived_goes_on_with_its_next_version(
    owner, order_database: ServiceDatabase, tmp_path: Path
):
    (order_id,) = ended_orders(1)
    ranges.move_to(owner, ranges.divide(owner, SIZE))
    ended_orders(1)
    ranges.settle(order_database)
    ranges.drop_first(owner, tmp_path)
    with transaction.atomic():
        (appended,) = append_event(placed(order_id))
    assert appended.version == 3
    event = placed(order_id)
    values = (str(order_id), 2, event.event_type, 1, b"", {}, datetime.now(UTC))
    with pytest.raises(restore.NotRestorable, match=r"version 2 of .* is archived"):
        restore.find_position(owner, restore.Lost(uuid4(), event.topic or "", event.aggregate_type, *values))


HOLDS = {
    "UPDATE waybill_outbox_cursor SET position = 1": "the relay has not passed it",
    "UPDATE waybill_outbox_cursor SET missing = '{2,2}'": "the relay has not passed it",
    "UPDATE waybill_outbox_cursor SET known_event_id = (SELECT event_id FROM waybill_outbox WHERE position = 1)": (
        "the relay knows the log by an event of it"
    ),
    "UPDATE waybill_verified_position SET position = 1": "not verified: outbox verify",
    "DELETE FROM waybill_outbox WHERE position > 1000": "the log ends in it",
    "INSERT INTO published VALUES (gen_random_uuid(), 'v', 't', '{\"position\": 2}', now(), now(), 0, -1, '{}')": (
        "1 dead letters: outbox dead-letters"
    ),
    "INSERT INTO waybill_replay_job (id, chosen, first, last, total, created_by, reason) "
    "VALUES (gen_random_uuid(), '{}', 1, 2, 2, 'ana', 'a test')": "1 replays under way: outbox jobs",
    "UPDATE orders SET status = 'PENDING' FROM waybill_outbox WHERE position = 1 AND order_id::text = aggregate_id": (
        "1 that have not ended, as order/"
    ),
}


@pytest.mark.parametrize("statement", HOLDS)
def test_a_range_is_held_by_whatever_still_needs_it(owner, order_database: ServiceDatabase, statement: str):
    ended_orders(2)
    ranges.move_to(owner, ranges.divide(owner, SIZE))
    ended_orders(1)
    ranges.settle(order_database)
    assert ranges.held(owner)[0] == ()
    execute(order_database, statement)
    assert HOLDS[statement] in "; ".join(ranges.held(owner)[0])


def test_a_range_is_held_by_its_age_and_by_what_is_due(owner, order_database: ServiceDatabase):
    place_orders(1)
    ranges.move_to(owner, ranges.divide(owner, SIZE))
    ended_orders(1)
    ranges.settle(order_database, due=True)
    (reasons,) = ranges.held(owner, timedelta(days=1))
    assert "its last event is younger than 1 days" in reasons
    assert "1 due tasks: outbox tasks" in reasons


def test_a_range_is_archived_and_dropped_and_its_events_are_folded_from_the_file(
    owner, order_database: ServiceDatabase, tmp_path: Path
):
    (first, *_) = ended_orders(2)
    ranges.move_to(owner, ranges.divide(owner, SIZE))
    ended_orders(1)
    ranges.settle(order_database)
    drop = ("partitions", "drop", "--service", "order", "--older-than", "0d", "--archive", str(tmp_path))
    dry = command(order_database, *drop, "--json")
    assert (dry.code, next(line["held"] for line in dry.lines())) == (0, None)
    done = command(order_database, *drop, "--execute", "--reason", "a test", "--by", "ana")
    assert (done.code, "stays: the log ends in it" in done.err) == (0, True), done.err
    assert execute(order_database, "SELECT count(*) FROM waybill_outbox") == [(2,)]
    assert execute(order_database, FIRST_RANGE) == [(None,)]
    assert execute(order_database, "SELECT operator, verb FROM waybill_operator_action ORDER BY id DESC LIMIT 1") == [
        ("ana", "partitions drop")
    ]
    (file,) = tmp_path.iterdir()
    assert len(gzip.decompress(file.read_bytes()).splitlines()) == 5
    assert command(order_database, "rebuild", "--check", "--service", "order", "--archive", str(tmp_path)).code == 0
    with pytest.raises(ArchiveMissing, match="archived: give their folder with --archive"):
        differences(None)
    execute(order_database, "UPDATE orders SET total = total + 1 WHERE order_id = %s", first)
    assert [one.aggregate_id for one in differences(tmp_path)] == [str(first)]
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ArchiveMissing, match="is not the file that was written"):
        differences(tmp_path)


def differences(archive: Path | None) -> list[Difference]:
    """Fold everything, from the archive on, and return what differs."""
    found: list[Difference] = []
    check(service, Watch(lambda *_: None, lambda _: None, archive), found.append)
    return found


def test_what_a_killed_run_has_archived_the_next_one_drops(owner, order_database: ServiceDatabase, tmp_path: Path):
    ended_orders(1)
    after = ranges.divide(owner, SIZE)
    ranges.move_to(owner, after)
    ended_orders(1)
    ranges.settle(order_database)
    ranges.drop_first(owner, tmp_path)
    # As it stands between the two: archived and detached, not dropped.
    owner.execute("CREATE TABLE public_partitions.waybill_outbox_1 (LIKE waybill_outbox)")
    owner.execute("UPDATE waybill_outbox_archive SET dropped_at = NULL")
    assert layout.horizon(owner).last == 0
    assert dropping.finish(owner) == ["waybill_outbox_1"]
    assert layout.horizon(owner).last == after - 1
    assert owner.execute(FIRST_RANGE).fetchone() == (None,)


def test_verify_knows_what_is_archived_and_still_finds_a_ghost(own_outbox: Outbox, tmp_path: Path):
    with ranges.owner_of(own_outbox.database) as owner, own_outbox.connect() as writer, relay(own_outbox):
        for version in (1, 2):
            append(writer, own_outbox.topic, "a", version)
        after = ranges.divide(owner, SIZE)
        ranges.move_to(owner, after)
        append(writer, own_outbox.topic, "a", 3)
        own_outbox.wait_for_cursor(after)
        ranges.settle(own_outbox.database)
        ranges.drop_first(owner, tmp_path)
    done, counts, faults = verify(own_outbox, "--full")
    assert (done.code, faults) == (0, [])
    assert (counts["events"], counts["records"], counts["archived"]) == (1, 3, 2)
    assert f"events up to position {after - 1} (until 2" in done.err
    send(own_outbox, "a", UUID(int=7), 4)
    done, counts, (fault,) = verify(own_outbox, "--full")
    assert (done.code, fault["kind"], fault["version"], counts["archived"]) == (1, "ghost", 4, 2)
    dry = outbox("replay", "--positions", "1..", **settings(own_outbox.kafka, shop=own_outbox.database.service_url))
    assert (dry.code, "are archived, and not sent" in dry.err, "dry run: 1 events" in dry.err) == (0, True, True)


def test_events_without_a_range_go_to_the_open_end_which_becomes_a_range(owner, order_database: ServiceDatabase):
    after = ranges.divide(owner, SIZE)
    assert ranges.ensure(owner) == []
    beyond = after + 2 * SIZE
    ranges.move_to(owner, beyond)
    with psycopg.connect(order_database.service_url, autocommit=True) as writer:
        append(writer, None, "a", 1)
        end = beyond + SIZE
        assert ranges.ensure(owner) == [end, end + SIZE]
        assert ranges.ensure(owner) == []
        append(writer, None, "a", 2)
    assert ranges.names(owner) == [*map(str, (1, after, after + SIZE, beyond, end, end + SIZE)), "open"]
    assert execute(order_database, f"SELECT count(*) FROM public_partitions.waybill_outbox_{beyond}") == [(2,)]


def test_a_replay_by_time_reads_the_ranges_of_that_time_alone(owner, order_database: ServiceDatabase):
    after = ranges.divide(owner, SIZE)
    with psycopg.connect(order_database.service_url, autocommit=True) as writer:
        append(writer, "t", "of the first", 1)
        ranges.move_to(owner, after)
        append_many(writer, "t", SIZE + 1)
        ((moment,),) = execute(order_database, "SELECT clock_timestamp()")
        ranges.move_to(owner, after + 2 * SIZE + 500)
        append(writer, "t", "of the third", 1)
    wanted = plan.Filter(since=moment, until=moment + timedelta(days=1))
    values = Options(wanted=wanted, by="ana", reason="a test").narrowed(owner).values()
    explained = "\n".join(line for (line,) in owner.execute(f"EXPLAIN {plan.SLICES}", values))
    read = set(re.findall(r" on (waybill_outbox_(?:\d+|open))\b", explained))
    assert read == {f"waybill_outbox_{after}", f"waybill_outbox_{after + SIZE}", "waybill_outbox_open"}


def test_migrating_again_gives_nobody_a_right_on_a_range(database_server: Server):
    with database_server.fresh("order_service") as database, ranges.owner_of(database) as owner:
        ranges.divide(owner, SIZE)
        owner.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO test_service")
        with (
            psycopg.connect(database.service_url) as session,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="schema public_partitions"),
        ):
            session.execute("DELETE FROM public_partitions.waybill_outbox_1")
