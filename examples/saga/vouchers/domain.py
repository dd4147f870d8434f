"""The life of a voucher.

NONE until it is issued, GOOD until it pays for a seat, then REDEEMED.
It is GOOD again once that seat is released.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from theatre.events import VoucherIssued, VoucherRedeemed, VoucherRefused, VoucherReturned
from waybill.deciders.outcomes import Decision, Ignored


class Status(StrEnum):
    """What a voucher is good for; each value says who moves it on."""

    NONE = "NONE"
    """Whoever sells it."""
    GOOD = "GOOD"
    """The seats: one is held with it."""
    REDEEMED = "REDEEMED"
    """The seats, where the one that it paid for is released."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Voucher:
    """One voucher, and the seat that it pays for."""

    voucher_id: str
    seat_id: str = ""
    status: Status = Status.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class VoucherCommand:
    """Ask something of one voucher."""

    voucher_id: str

    def rows(self) -> Mapping[str, Sequence[str]]:
        """Name the voucher."""
        return {"voucher": (self.voucher_id,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueVoucher(VoucherCommand):
    """Sell it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RedeemVoucher(VoucherCommand):
    """Let it pay for a seat."""

    seat_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReturnVoucher(VoucherCommand):
    """Make it good again, where it pays for this seat."""

    seat_id: str


Command = IssueVoucher | RedeemVoucher | ReturnVoucher
VoucherEvent = VoucherIssued | VoucherRedeemed | VoucherRefused | VoucherReturned


def decide(command: Command, voucher: Voucher) -> Decision:
    """Return what follows from the command, for every pair of command and status."""
    match command, voucher.status:
        case IssueVoucher(), Status.NONE:
            return [VoucherIssued(voucher_id=command.voucher_id)]
        case IssueVoucher(), Status.GOOD | Status.REDEEMED:
            return Ignored("it was issued before")

        case RedeemVoucher(), Status.GOOD:
            return [VoucherRedeemed(voucher_id=command.voucher_id, seat_id=command.seat_id)]
        case RedeemVoucher(), Status.NONE | Status.REDEEMED:
            if command.seat_id == voucher.seat_id:
                return Ignored("it pays for that seat already")
            return [VoucherRefused(voucher_id=command.voucher_id, seat_id=command.seat_id)]

        case ReturnVoucher(), Status.REDEEMED if command.seat_id == voucher.seat_id:
            return [VoucherReturned(voucher_id=command.voucher_id, seat_id=command.seat_id)]
        case ReturnVoucher(), Status.NONE | Status.GOOD | Status.REDEEMED:
            return Ignored("it does not pay for that seat")


def evolve(voucher: Voucher, event: VoucherEvent) -> Voucher:
    """Return the voucher after the event."""
    match event:
        case VoucherIssued():
            return replace(voucher, status=Status.GOOD)
        case VoucherRedeemed():
            return replace(voucher, seat_id=event.seat_id, status=Status.REDEEMED)
        case VoucherReturned():
            return replace(voucher, seat_id="", status=Status.GOOD)
        case VoucherRefused():
            return voucher
