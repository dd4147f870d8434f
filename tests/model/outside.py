"""What is outside: the payment provider's ledger for one order, and the mailbox.

The ledger has the rules of `devstack/provider.py`; `test_outside.py` holds both against each other. It is undecided
whether a card is good until the first call arrives, and every answer can be lost.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from chassis.service import Command, Task, Tried
from notification_service import mailer
from notification_service import worker as notification_worker
from payment_service import provider


class Ledger(NamedTuple):
    """What one order's calls have left at the provider."""

    answered: str = ""
    """What the charge's key is answered with: nothing yet, charged or declined."""
    charges: int = 0
    voided: bool = False
    refunds: int = 0
    refund_known: bool = False
    """Whether the refund's key is remembered."""


def charge(ledger: Ledger) -> Iterator[tuple[str, Ledger]]:
    """Yield every answer that a charge may get, with the ledger afterwards."""
    if ledger.answered:
        yield ledger.answered, ledger
    elif ledger.voided:
        yield "voided", ledger
    else:
        yield "charged", ledger._replace(answered="charged", charges=ledger.charges + 1)
        yield "declined", ledger._replace(answered="declined")


def void(ledger: Ledger) -> Iterator[tuple[str, Ledger]]:
    """Yield the answer to a void under the charge's key."""
    if ledger.answered == "charged":
        yield "charged", ledger
    else:
        yield "voided", ledger._replace(voided=True)


def refund(ledger: Ledger) -> Iterator[tuple[str, Ledger]]:
    """Yield the answer to a refund of the whole charge."""
    if ledger.refund_known:
        yield "refunded", ledger
    elif ledger.refunds < ledger.charges:
        yield "refunded", ledger._replace(refunds=ledger.refunds + 1, refund_known=True)
    else:
        yield "exceeds_charge", ledger


CALLS = {"charge": charge, "void": void, "refund": refund}


def attempt(task: Task, state: Any, event: Any, answer: str) -> tuple[Command | None, bool]:
    """Make the worker's real attempt with this answer from outside; tells whether anything was asked there."""
    asked: list[str] = []
    with _answering(answer, asked):
        return task.attempt(state, event, Tried()), bool(asked)


@contextmanager
def _answering(answer: str, asked: list[str]) -> Iterator[None]:
    def said(*_: Any) -> Any:
        asked.append(answer)
        match answer:
            case "charged":
                return provider.Charged("ch_1")
            case "declined":
                return provider.Declined("card_declined")
            case "voided":
                return provider.Barred()
            case "refunded":
                return "re_1"
            case "sent" | "refused":
                return answer == "sent"
            case "exceeds_charge":
                raise provider.UnexpectedAnswer(answer)
            case _:
                raise AssertionError(answer)

    with (
        patch.object(provider, "charge", said),
        patch.object(provider, "void", said),
        patch.object(provider, "refund", said),
        patch.object(mailer, "send", said),
        patch.object(notification_worker, "ContactRow", _Contacts(None if answer == "no address" else "ann@shop.test")),
    ):
        yield


class _Contacts:
    """Stand for the table of addresses."""

    def __init__(self, email: str | None) -> None:
        self.email = email
        self.objects = self

    def filter(self, **_: Any) -> "_Contacts":
        """Take any customer."""
        return self

    def first(self) -> "_Contacts | None":
        """Return the customer's address, if they have one."""
        return self if self.email else None
