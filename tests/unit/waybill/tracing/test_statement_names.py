"""A statement's span is named by what the statement does, and to which table."""

import pytest

from waybill.outbox.outbox import APPEND, _append_after
from waybill.tasks.deadlines import CLAIM, FINISH, SCHEDULE
from waybill.tracing.statements import _named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("SELECT count(*) FROM waybill_outbox WHERE topic = %s", ("SELECT", "waybill_outbox")),
        (APPEND.format(and_written=""), ("INSERT", "waybill_outbox")),
        (_append_after((SCHEDULE, FINISH)), ("INSERT", "waybill_outbox")),
        (CLAIM, ("SELECT", "claimed")),
        (" ", ("SQL", None)),
    ],
    ids=["one", "an append", "an append after others", "a claim", "nothing"],
)
def test_a_statement_of_several_is_named_by_the_last(text: str, named: tuple[str, str | None]):
    assert _named(text) == named
