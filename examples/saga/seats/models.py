"""Seats, a row each."""

from collections.abc import Iterator
from typing import ClassVar

from django.db import models

from seats.domain import Seat, Status
from waybill.deciders.service import Rows
from waybill.models import AggregateRow


class SeatRow(AggregateRow):
    """One seat."""

    aggregate_type: ClassVar = "seat"

    seat_id = models.TextField(primary_key=True)
    voucher_id = models.TextField()
    status = models.TextField()

    class Meta:
        db_table = "seats"


def to_state(rows: Rows) -> Seat:
    """Return the seat that the one row, or its absence, says."""
    ((seat_id, row),) = rows["seat"].items()
    if row is None:
        return Seat(seat_id=seat_id)
    return Seat(seat_id=row.seat_id, voucher_id=row.voucher_id, status=Status(row.status))


def to_rows(state: Seat) -> Iterator[SeatRow]:
    """Return the row that holds the state."""
    yield SeatRow(seat_id=state.seat_id, voucher_id=state.voucher_id, status=state.status.value)
