"""What seats make of the events of vouchers."""

from seats.domain import BookSeat, ReleaseSeat
from theatre.events import VoucherRedeemed, VoucherRefused
from waybill.deciders.service import on


@on(VoucherRedeemed)
def voucher_redeemed(event: VoucherRedeemed) -> BookSeat:
    """Book the seat that is paid for."""
    return BookSeat(seat_id=event.seat_id)


@on(VoucherRefused)
def voucher_refused(event: VoucherRefused) -> ReleaseSeat:
    """Release the seat that nothing pays for."""
    return ReleaseSeat(seat_id=event.seat_id)
