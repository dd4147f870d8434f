"""What an inbox must have is a matter of the event, not of the offset that it stands at."""

import pytest

from outbox_relay.operations.decisions import SkippedRecord
from outbox_relay.operations.verify.inboxes import Inbox
from outbox_relay.operations.verify.ledger import Entry

TOPIC = "order.events.v1"
SKIPPED, ANOTHER = "01a21a98-0000-7000-8000-000000000001", "01a21a98-0000-7000-8000-000000000002"


@pytest.mark.parametrize(("event_id", "wanted"), [(SKIPPED, False), (ANOTHER, True)])
def test_a_skipped_record_is_not_missed_and_the_one_at_its_offset_in_a_topic_created_anew_is(event_id, wanted):
    decided = frozenset({SkippedRecord(TOPIC, 2, 17, SKIPPED)})
    inbox = Inbox(
        "inventory",
        "inventory_service",
        {"a.Type"},
        {(TOPIC, 2): 18},
        remembered_since=0,
        begins=0,
        kept={},
        skipped=decided,
    )
    found = {"found_in": TOPIC, "partition": 2, "offset": 17}
    entry = Entry(event_id, "order", 1, TOPIC, "key", 1, "a.Type", 1.0, passed=True, **found)
    assert inbox.must_have(entry) is wanted
