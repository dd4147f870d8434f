"""Every seat ends booked by its voucher, or released with the voucher good again."""

import unittest
from collections.abc import Mapping
from typing import Any

from waybill.runtime.django_settings import configure_django

configure_django(("seats", "vouchers"), "postgresql:///theatre")  # nothing connects to it

from seats.domain import HoldSeat, ReleaseSeat  # noqa: E402 - models need Django
from seats.service import service as seats  # noqa: E402
from vouchers.domain import IssueVoucher  # noqa: E402
from vouchers.service import service as vouchers  # noqa: E402
from waybill.testing import Request, explore  # noqa: E402

REQUESTS = [
    Request(vouchers, IssueVoucher(voucher_id="V")),
    Request(seats, HoldSeat(seat_id="A1", voucher_id="V")),
    Request(seats, HoldSeat(seat_id="B2", voucher_id="V")),  # with the same voucher
    Request(seats, ReleaseSeat(seat_id="A1")),
]


def each_seat_has_ended(rows: Mapping[tuple[str, str], Any]) -> None:
    """Check it where no message waits any more."""
    paid_for = {row.seat_id for (kind, _), row in rows.items() if kind == "voucher" and row.status == "REDEEMED"}
    booked = {key for (kind, key), row in rows.items() if kind == "seat" and row.status == "BOOKED"}
    held = {key for (kind, key), row in rows.items() if kind == "seat" and row.status == "HELD"}
    assert not held, f"{held} stay held for ever"
    assert booked == paid_for, f"{booked} are booked, and {paid_for} are paid for"


class SagaTest(unittest.TestCase):
    """Clients ask in any sequence, and messages arrive when they like."""

    def test_each_seat_ends_well_in_every_sequence(self) -> None:
        """Nobody sits without paying, and nobody pays without a seat."""
        found = explore(seats, vouchers, requests=REQUESTS, at_the_end=each_seat_has_ended)
        self.assertIsNone(found.fault, found.story)

    def test_a_message_that_cannot_be_handled_at_first_does_no_harm(self) -> None:
        """It is redriven, with those behind it, at any later time."""
        found = explore(seats, vouchers, requests=REQUESTS, at_the_end=each_seat_has_ended, dead_letters=True)
        self.assertIsNone(found.fault, found.story)


if __name__ == "__main__":
    unittest.main()
