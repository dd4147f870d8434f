"""The life of a seat.

FREE until a guest holds it, HELD until the voucher is redeemed, then BOOKED.
It is RELEASED where the guest gives it up while it is held, or the voucher is no good; it stays so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from theatre.events import SeatBooked, SeatHeld, SeatReleased
from waybill.deciders.outcomes import Code, Decision, Ignored, Refused


class Status(StrEnum):
    """Where a seat stands; each value says who moves it on."""

    FREE = "FREE"
    """A guest holds it."""
    HELD = "HELD"
    """The vouchers' answer, or the guest."""
    BOOKED = "BOOKED"
    """Nobody."""
    RELEASED = "RELEASED"
    """Nobody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """One seat, and the voucher that is to pay for it."""

    seat_id: str
    voucher_id: str = ""
    status: Status = Status.FREE


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatCommand:
    """Ask something of one seat."""

    seat_id: str

    def rows(self) -> Mapping[str, Sequence[str]]:
        """Name the seat."""
        return {"seat": (self.seat_id,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldSeat(SeatCommand):
    """Hold it until the voucher is redeemed."""

    voucher_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BookSeat(SeatCommand):
    """Book it: its voucher is redeemed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseSeat(SeatCommand):
    """Give it up."""


Command = HoldSeat | BookSeat | ReleaseSeat
SeatEvent = SeatHeld | SeatBooked | SeatReleased


def decide(command: Command, seat: Seat) -> Decision:
    """Return what follows from the command, for every pair of command and status."""
    match command, seat.status:
        case HoldSeat(), Status.FREE:
            return [SeatHeld(seat_id=command.seat_id, voucher_id=command.voucher_id)]
        case HoldSeat(), Status.HELD | Status.BOOKED | Status.RELEASED:
            return Refused(Code.CONFLICT, f"seat {command.seat_id} is taken")

        case BookSeat(), Status.HELD:
            return [SeatBooked(seat_id=command.seat_id)]
        case BookSeat(), Status.FREE | Status.BOOKED | Status.RELEASED:
            return Ignored("it is booked already, or was released meanwhile")

        case ReleaseSeat(), Status.HELD:
            return [SeatReleased(seat_id=command.seat_id, voucher_id=seat.voucher_id)]
        case ReleaseSeat(), Status.FREE | Status.BOOKED | Status.RELEASED:
            return Ignored("it is not held")


def evolve(seat: Seat, event: SeatEvent) -> Seat:
    """Return the seat after the event."""
    match event:
        case SeatHeld():
            return replace(seat, voucher_id=event.voucher_id, status=Status.HELD)
        case SeatBooked():
            return replace(seat, status=Status.BOOKED)
        case SeatReleased():
            return replace(seat, status=Status.RELEASED)
