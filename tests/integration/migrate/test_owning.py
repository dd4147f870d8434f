"""Rows change their owner, over and back, while they are written; and whoever comes too late is refused by name."""

import itertools
from decimal import Decimal

import psycopg
import pytest

from devstack.harness.wait import wait_until
from tests.support.owning import Gateway, Sides, Writer
from waybill.migrate.ownership import finishing, receiving
from waybill.migrate.ownership.handover import GivenUp
from waybill.migrate.ownership.refusing import REFUSED
from waybill.migrate.ownership.rows import Said
from waybill.migrate.ownership.sides import Refused

OLD, OVER, BACK = [(True, 0), (False, 0)], [(False, 1), (True, 1)], [(True, 2), (False, 2)]
SAID = Said(verb="test", by="test")
RISE = "UPDATE booking SET total = total + 1 WHERE id = 1"
VERSIONS = "SELECT aggregate_id, aggregate_version FROM waybill_outbox"
RECORD = "SELECT direction, epoch, result FROM waybill_ownership_log ORDER BY id"
APPLIED = "SELECT set_config('waybill.applied_source', 'booking', true)"
LATE = {
    "an insert": "INSERT INTO booking (id) VALUES (99)",
    "an insert that may meet a row": "INSERT INTO booking (id) VALUES (1) ON CONFLICT DO NOTHING",
    "an update": RISE,
    "an update of nothing": "UPDATE booking SET total = 1 WHERE false",
    "a deletion": "DELETE FROM booking WHERE id = 1",
    "a merge": "MERGE INTO booking USING (VALUES (1)) AS v (id) ON v.id = booking.id WHEN MATCHED THEN DELETE",
    "a truncation": "TRUNCATE booking CASCADE",
    "a child row": "INSERT INTO booking_line (booking_id, item, amount) VALUES (1, 'late', 1)",
    "a child row that goes": "DELETE FROM booking_line",
    "a bulk load": "SET session_replication_role = replica; " + RISE,
}

NO_ROW = ("DELETE FROM waybill_ownership", "INSERT INTO waybill_ownership VALUES ('booking', false, 0)")
ANOTHER = ("UPDATE waybill_ownership SET epoch = 2", "UPDATE waybill_ownership SET epoch = 0")
HELD = ("INSERT INTO waybill_capture_held VALUES ('booking', '7', 'why')", "DELETE FROM waybill_capture_held")
UNFILLED = ("UPDATE waybill_backfill SET finished_at = NULL", "UPDATE waybill_backfill SET finished_at = now()")


TRIGGERS = """
DO $$ DECLARE one text; BEGIN
    FOR one IN SELECT tgname FROM pg_trigger WHERE tgrelid = '{0}'::regclass AND tgname ~ '^waybill_{1}' LOOP
        EXECUTE format('ALTER TABLE {0} {2} TRIGGER %I', one);
    END LOOP;
END $$
"""


def without(triggers: str, table: str) -> tuple[str, str]:
    """Disable triggers, and enable them again."""
    return TRIGGERS.format(table, triggers, "DISABLE"), TRIGGERS.format(table, triggers, "ENABLE ALWAYS")


FIRST = {
    ("there", *NO_ROW): "run `migrate receive on` there first",
    ("there", *ANOTHER): "epoch 0 here, 2 at .*is that the other side",
    ("there", *without("refuse", "booking_line")): "does not refuse writes of its own",
    ("there", *without("capture", "booking")): "run `migrate capture on` there",
    ("here", *without("capture", "booking_line")): "capture is off",
    ("here", *UNFILLED): "run `migrate backfill`",
    ("here", *HELD): "1 keys are held, as 7",
}


@pytest.fixture
def sides(shop, other, tmp_path):
    with Sides.made(shop, other, tmp_path) as made:
        yield made


def owners(sides):
    """Who owns, by which epoch; nobody is leaving, and nothing is held."""
    found = sides.owners()
    assert not any(leaving or held for _, _, leaving, held in found), found
    return [(is_owner, epoch) for is_owner, epoch, _, _ in found]


def same(sides):
    """Whether both sides have the same rows, once all is carried."""
    return wait_until(lambda: sides.here.rows() == sides.there.rows(), deadline_seconds=30, what="equal rows")


def test_over_and_back_while_all_write_loses_nothing_doubles_nothing_and_never_has_two_owners(sides):
    gateway = Gateway(sides)
    writers = [Writer(gateway), Writer(gateway), Writer(gateway, sides.here), Writer(gateway, sides.there)]
    for one in writers:
        one.start()
    try:
        for verb in ("cutover", "cutback", "cutover"):
            before = len(gateway.accepted)
            wait_until(lambda before=before: len(gateway.accepted) > before + 40, deadline_seconds=30, what="writes")
            sides.hand_over(verb, in_flight=gateway.in_flight)
    finally:
        for one in writers:
            one.end()
    assert gateway.refused == []
    assert same(sides)
    cents = sum(one.cents for one in gateway.accepted)
    assert sides.there.execute("SELECT sum(total) FROM booking") == [(80 + Decimal(cents) / 100,)]
    by = [service for service, _ in itertools.groupby(one.service for one in sorted(gateway.accepted))]
    assert by == ["here", "there", "here", "there"]
    versions: dict[str, list[int]] = {}
    for key, version in sides.here.execute(VERSIONS) + sides.there.execute(VERSIONS):
        versions.setdefault(key, []).append(version)
    assert all(sorted(mine) == list(range(1, len(mine) + 1)) for mine in versions.values())
    assert sides.courier.letters == []


def test_a_late_writer_is_refused_by_name_also_with_an_old_snapshot(sides):
    url = sides.here.bookings.shop.url
    with psycopg.connect(url) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert old.execute("SELECT count(*) FROM booking").fetchall() == [(8,)]
        sides.hand_over()
        with pytest.raises(psycopg.Error) as late:
            old.execute(RISE)
    assert late.value.sqlstate == REFUSED
    there = sides.there.bookings.shop.name
    said = f"booking takes no UPDATE here: the rows of booking are owned by database '{there}' on 127.0.0.1 (epoch 1)"
    assert late.value.diag.message_primary == said
    assert "Write there" in (late.value.diag.message_hint or "")
    before = sides.here.rows()
    for statement in LATE.values():
        with pytest.raises(psycopg.Error) as late:
            sides.here.execute(statement)
        assert late.value.sqlstate == REFUSED, statement
    with (
        psycopg.connect(url) as writer,
        pytest.raises(psycopg.Error) as late,
        writer.cursor().copy("COPY booking (id) FROM STDIN") as copy,
    ):
        copy.write("99\n")
    assert late.value.sqlstate == REFUSED
    assert sides.here.rows() == before
    with psycopg.connect(url) as applies:
        applies.execute(APPLIED)
        assert applies.execute(RISE).rowcount == 1
        applies.rollback()


def test_keys_that_the_other_side_gives_go_on_behind_those_of_this_one(sides):
    for side, verb, key in ((sides.here, "cutover", 9), (sides.there, "cutback", 10), (sides.here, "cutover", 11)):
        assert side.execute("INSERT INTO booking (total) VALUES (1) RETURNING id") == [(key,)]
        line = "INSERT INTO booking_line (booking_id, item, amount) VALUES (%s, 'b', 1) RETURNING id"
        assert side.execute(line, key) == [(key,)]
        sides.hand_over(verb)
    assert same(sides)


def test_what_must_be_done_first_is_named_and_nothing_is_begun(sides):
    sides.courier.carries.clear()
    for (on, first, undone), said in FIRST.items():
        side = sides.here if on == "here" else sides.there
        side.execute(first)
        with pytest.raises(Refused, match=said):
            sides.hand_over()
        side.execute(undone)
    with pytest.raises(Refused, match=r"did not come from there .epoch 0.: run cutover instead"):
        sides.attempt(sides.here, sides.there, "cutback")
    with pytest.raises(Refused, match="this side does not own it"):
        sides.attempt(sides.there, sides.here, "cutback")
    assert sides.here.execute(RECORD) == []


def test_a_hold_that_takes_too_long_lapses_into_the_old_state(sides):
    asked = itertools.count()

    def in_flight() -> int:  # asked at the start, and once writes are held: from then on nothing arrives
        if next(asked) == 1:
            sides.courier.carries.clear()
            sides.here.execute(RISE)
        return 0

    with pytest.raises(GivenUp, match="1 differ at database") as given_up:
        sides.hand_over(hold_seconds=1.0, in_flight=in_flight)
    assert [one.key for one in given_up.value.differences] == ["1"]
    assert owners(sides) == OLD
    sides.here.execute(RISE)
    ((direction, epoch, result),) = sides.here.execute(RECORD)
    assert (direction, epoch, result.startswith("old state: writes were held for")) == ("cutover", 0, True)
    sides.courier.carries.set()
    sides.hand_over()
    assert owners(sides) == OVER


def test_requests_and_writers_that_do_not_end_leave_the_old_state_and_are_named(sides):
    with pytest.raises(GivenUp, match="3 requests are still in flight"):
        sides.hand_over(hold_seconds=0.5, in_flight=lambda: 3)
    with psycopg.connect(sides.here.bookings.shop.url, application_name="a long report") as writer:
        writer.execute(RISE)
        with pytest.raises(GivenUp, match=r"a lock was not granted within 0.8 s: held by process .*a long report"):
            sides.hand_over(hold_seconds=0.8)
    assert owners(sides) == OLD


def test_a_difference_leaves_the_old_state_and_is_told(sides):
    def tampered(statement: str) -> list[tuple[str | None, str]]:
        sides.there.execute(f"{APPLIED}; {statement}")
        with pytest.raises(GivenUp, match="1 differ for 1 s") as given_up:
            sides.hand_over(settle_seconds=1.0)
        assert owners(sides) == OLD
        return [(one.key, one.what) for one in given_up.value.differences]

    assert tampered("UPDATE booking SET total = 3 WHERE id = 2") == [("2", "differs")]
    sides.here.execute("UPDATE booking SET total = 4 WHERE id = 2")
    behind = "UPDATE waybill_capture_state SET version = version - 1 WHERE key = '3'"
    assert tampered(behind) == [("3", "its event of version 1 has not arrived (last: 0)")]


def test_after_finish_there_is_no_way_back_and_the_tables_that_may_go_are_named(sides):
    def finish(own, other):
        with own.in_use():
            return finishing.finish(own.bookings.aggregate, "default", other.bookings.shop.url, SAID)

    with pytest.raises(Refused, match="this side owns it"):
        finish(sides.here, sides.there)
    with pytest.raises(Refused, match="it was never handed over"):
        finish(sides.there, sides.here)
    sides.hand_over()
    sides.here.execute("CREATE TABLE note (booking_id bigint REFERENCES booking)")
    done = finish(sides.here, sides.there)
    assert (done.tables, done.referring) == (["booking", "booking_line"], ["note.booking_id"])
    assert finish(sides.here, sides.there) == done
    with pytest.raises(Refused, match=r"was finished at 2.*there is no way back"):
        sides.hand_over("cutback")
    left = "SELECT (SELECT count(*) FROM waybill_capture_state), (SELECT count(*) FROM pg_trigger WHERE tgname ~ %s)"
    assert sides.here.execute(left, "^waybill_capture") == [(0, 0)]
    with pytest.raises(psycopg.Error, match="takes no UPDATE here"):
        sides.here.execute(RISE)
    before = sides.here.rows()
    sides.there.execute(RISE)
    sides.courier.end()  # what is told from now on is not applied any more
    assert (sides.here.rows(), sides.courier.letters) == (before, [])
    assert sides.here.execute(left, "^waybill_capture") == [(0, 0)]
    assert sides.here.execute(RECORD)[-1] == ("test", 1, "done")


def test_receive_is_for_the_side_that_does_not_own_and_taken_back_only_before_the_first_handover(sides):
    with sides.here.in_use(), pytest.raises(Refused, match="tells of its rows since a backfill, so it owns them"):
        receiving.turn_on(sides.here.bookings.aggregate, "default", SAID)
    with pytest.raises(psycopg.Error, match="takes no UPDATE here"):
        sides.there.execute(RISE)
    with sides.there.in_use():
        receiving.turn_off(sides.there.bookings.aggregate, "default", SAID)
        sides.courier.carries.clear()
        sides.there.execute(RISE)
        receiving.turn_on(sides.there.bookings.aggregate, "default", SAID)
    assert (sides.there.drained().taken, sides.there.bookings.queued()) == (0, ["1"])  # it does not own, nor tell
    sides.there.execute(f"{APPLIED}; UPDATE booking SET total = 10 WHERE id = 1")
    sides.courier.carries.set()
    sides.hand_over()
    for turn, said in ((receiving.turn_on, "owns it since epoch 1"), (receiving.turn_off, "it was handed over")):
        with sides.there.in_use(), pytest.raises(Refused, match=said):
            turn(sides.there.bookings.aggregate, "default", SAID)
