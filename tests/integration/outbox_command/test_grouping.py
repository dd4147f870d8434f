"""Dead letters are counted by what failed, and paged, from a narrow table that follows the rows it tells of."""

from uuid import UUID

import psycopg
import pytest

from outbox_relay.operations.dead_letters import groups, letter, pages
from outbox_relay.operations.dead_letters.masking import MASK, Mask
from outbox_relay.operations.dead_letters.pages import Wanted
from outbox_relay.operations.redrives import collecting
from tests.support.dead_letters import BROKEN, dead_letter_pair
from tests.support.inbox import message, process
from tests.support.many_dead_letters import fill
from tests.support.orders import placed
from tests.support.outbox_command import execute, outbox, settings

FOLLOWED = "SELECT row_id, reason_class, event_type, topic, key FROM waybill_dead_letter ORDER BY row_id"
TOLD = """
SELECT id, CASE WHEN headers->>'reason' LIKE 'behind %%' THEN 'behind' ELSE split_part(headers->>'reason', ':', 1) END,
       headers->'record'->>'ce_type', headers->>'topic', headers->>'key'
FROM received WHERE status = -1 ORDER BY id
"""


def explained(connection: psycopg.Connection, statement: str, values: dict) -> str:
    """Return how the server would find the answer."""
    return "\n".join(line for (line,) in connection.execute("EXPLAIN " + statement, values))


def test_a_group_counts_what_was_tried_and_what_waits_behind_it(inventory):
    dead_letter_pair()
    event = dead_letter_pair()
    process(message(event))
    with psycopg.connect(inventory.service_url) as session:
        (one,) = groups.read("inventory", session)
    assert (one.service, one.kind, one.reason_class) == ("inventory", "message", "Unreadable")
    assert (one.event_type, one.letters, one.behind) == ("waybill.order.OrderPlaced", 2, 3)
    assert one.oldest < one.newest
    shown = outbox("dead-letters", "--groups", "--json", **settings(inventory=inventory.service_url)).lines()
    assert [(line["reason_class"], line["letters"], line["behind"]) for line in shown] == [("Unreadable", 2, 3)]
    refused = outbox("dead-letters", "--groups", "--key", "7", **settings(inventory=inventory.service_url))
    assert (refused.code, "leave out what chooses: keys" in refused.err) == (2, True)


def test_what_waits_behind_one_that_is_gone_is_a_group_of_its_own(inventory):
    dead_letter_pair()
    execute(inventory, "DELETE FROM received WHERE status = -1 AND headers->>'reason' NOT LIKE 'behind%%'")
    with psycopg.connect(inventory.service_url) as session:
        ((kind, letters, behind),) = [
            (one.reason_class, one.letters, one.behind) for one in groups.read("inventory", session)
        ]
    assert (kind, letters, behind) == ("behind", 1, 0)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE received SET status = 2 WHERE headers->>'reason' NOT LIKE 'behind%%'",
        "DELETE FROM received WHERE status = -1 AND headers->>'reason' LIKE 'behind%%'",
        'UPDATE received SET headers = headers || \'{"reason": "KeyError: 7"}\' WHERE status = -1',
    ],
)
def test_the_narrow_table_follows_the_rows(inventory, change):
    dead_letter_pair()
    dead_letter_pair()
    execute(inventory, change)
    assert execute(inventory, FOLLOWED) == execute(inventory, TOLD)


def test_a_dead_letter_that_no_index_takes_whole_is_kept_and_grouped(inventory):
    execute(
        inventory,
        "INSERT INTO received (id, msg_id, headers, added, expires_at, retry, status)"
        " SELECT gen_random_uuid(), 'x', jsonb_build_object('topic', left(t, 900), 'key', left(t, 900), 'reason', t,"
        " 'place', 't/0/1'),"
        " now(), now(), 0, -1 FROM (SELECT string_agg(md5(i::text), '') AS t FROM generate_series(1, 300) AS i) AS s",
    )
    with psycopg.connect(inventory.service_url) as session:
        (one,) = groups.read("inventory", session)
        (listed,) = pages.read("inventory", session, Wanted(reason_class=one.reason_class), 10)
    assert (one.letters, one.event_type, len(one.reason_class), listed.place) == (1, None, 100, "t/0/1")


def test_pages_have_each_dead_letter_once_and_the_newest_first(inventory):
    with psycopg.connect(inventory.superuser_url, autocommit=True) as session:
        fill(session, 40)
        chosen = Wanted(reason_class="KeyError")
        seen: list[UUID] = []
        after = pages.Cursor()
        while page := pages.read("inventory", session, chosen, 2, after):
            seen += [one.row_id for one in page]
            after = page[-1].cursor
        wanted = session.execute(
            "SELECT id FROM received WHERE headers->>'reason' LIKE 'KeyError%' ORDER BY added DESC, id DESC"
        ).fetchall()
    assert [(one,) for one in seen] == wanted


@pytest.mark.slow
def test_with_many_dead_letters_groups_and_pages_are_read_from_indexes_alone(inventory):
    with psycopg.connect(inventory.superuser_url, autocommit=True) as session:
        fill(session, 20_000)
        session.execute("VACUUM ANALYZE waybill_dead_letter, received")
        session.execute("SET enable_seqscan = off")  # a table of this size is read faster whole
        plan = explained(session, groups.GROUPS, {"service": "inventory"})
        assert "received" not in plan
        assert plan.count("Index Only Scan") == 2
        assert "Seq Scan" not in plan
        chosen = Wanted("message", "KeyError", "waybill.order.OrderPlaced")
        values = chosen.values() | {"service": "inventory", "at": None, "row_id": None, "limit": 50}
        page = explained(session, pages.PAGE, values)
        assert "waybill_dead_letter_group" in page
        assert "Seq Scan" not in page
        planned = collecting.plan(session, chosen.choice)
        (group,) = [
            one for one in groups.read("inventory", session)
            if (one.reason_class, one.event_type) == ("KeyError", "waybill.order.OrderPlaced")
        ]  # fmt: skip
        assert (planned.messages, planned.publications, planned.stays) == (group.letters + group.behind, 0, 0)


def test_one_message_is_told_whole_with_personal_fields_masked_unless_asked(inventory):
    event = dead_letter_pair()
    with psycopg.connect(inventory.service_url) as session:
        first, second = pages.read("inventory", session, Wanted(), 10)[::-1]
        told = letter.read("inventory", session, second.row_id, Mask.PERSONAL)
        assert told is not None
        assert (told.payload["order_id"], told.payload["customer_id"]) == (event.order_id, MASK)
        assert told.payload["lines"][0]["sku"] == event.lines[0].sku
        assert [one.row_id for one in told.others] == [first.row_id]
        assert (told.behind, told.headers["ce_type"], told.reason) == (
            1, "waybill.order.OrderPlaced", "behind a dead letter of its key",
        )  # fmt: skip
        whole = letter.read("inventory", session, second.row_id, Mask.NOTHING)
        assert whole.payload["customer_id"] == event.customer_id
        hidden = letter.read("inventory", session, second.row_id, Mask.ALL)
        assert (hidden.payload["order_id"], hidden.payload["total"]) == (event.order_id, MASK)
        unreadable = letter.read("inventory", session, first.row_id, Mask.PERSONAL)
        assert unreadable.payload is None
        assert unreadable.unreadable.endswith(f"bytes {MASK}")
        assert BROKEN.hex() in letter.read("inventory", session, first.row_id, Mask.NOTHING).unreadable
        assert letter.read("inventory", session, UUID(int=7), Mask.ALL) is None


def test_a_defect_is_kept_with_its_traceback(inventory):
    event = placed(UUID(int=9))
    with psycopg.connect(inventory.owner_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE products ADD CONSTRAINT no_more CHECK (reserved < 1)")
    process(message(event))
    with psycopg.connect(inventory.service_url) as session:
        (one,) = pages.read("inventory", session, Wanted(), 10)
        told = letter.read("inventory", session, one.row_id, Mask.ALL)
    assert "Traceback" in told.traceback
    assert "unit_of_work" in told.traceback
