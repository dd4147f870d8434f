"""Vouchers, a row each."""

from collections.abc import Iterator
from typing import ClassVar

from django.db import models

from vouchers.domain import Status, Voucher
from waybill.deciders.service import Rows
from waybill.models import AggregateRow


class VoucherRow(AggregateRow):
    """One voucher."""

    aggregate_type: ClassVar = "voucher"

    voucher_id = models.TextField(primary_key=True)
    seat_id = models.TextField()
    status = models.TextField()

    class Meta:
        db_table = "vouchers"


def to_state(rows: Rows) -> Voucher:
    """Return the voucher that the one row, or its absence, says."""
    ((voucher_id, row),) = rows["voucher"].items()
    if row is None:
        return Voucher(voucher_id=voucher_id)
    return Voucher(voucher_id=row.voucher_id, seat_id=row.seat_id, status=Status(row.status))


def to_rows(state: Voucher) -> Iterator[VoucherRow]:
    """Return the row that holds the state."""
    yield VoucherRow(voucher_id=state.voucher_id, seat_id=state.seat_id, status=state.status.value)
