"""What vouchers make of the events of seats."""

from theatre.events import SeatHeld, SeatReleased
from vouchers.domain import RedeemVoucher, ReturnVoucher
from waybill.deciders.service import on


@on(SeatHeld)
def seat_held(event: SeatHeld) -> RedeemVoucher:
    """Let the voucher pay for the seat."""
    return RedeemVoucher(voucher_id=event.voucher_id, seat_id=event.seat_id)


@on(SeatReleased)
def seat_released(event: SeatReleased) -> ReturnVoucher:
    """Give the voucher back that paid for the seat."""
    return ReturnVoucher(voucher_id=event.voucher_id, seat_id=event.seat_id)
