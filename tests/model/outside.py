"""What is outside: the payment provider's ledger for one order, and the mailbox.

The provider has the rules of `devstack/simulators/provider.py`; `test_outside.py` holds both against each other. It is
undecided whether a card is good until the first call arrives, every answer can be lost, and where a scope says so the
provider answers with errors that it stores under the key, and forgets its keys after a day.

A worker's attempt is real code that may ask the outside more than once, and anything may happen between two questions.
So an attempt is run again from its start with each answer that came in, until it needs one more, or is done.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, NamedTuple
from unittest.mock import patch

from notification_service import mailer
from payment_service import provider
from payment_service.provider import asking
from waybill.database import rows
from waybill.deciders.outcomes import NeedsAttention, OutcomeUnknown, Unavailable
from waybill.deciders.service import Command, Task, Tried


class Ledger(NamedTuple):
    """What one order's calls have left at the provider."""

    answered: str = ""
    """What the charge's key is answered with: nothing yet, charged, declined or an error."""
    charges: int = 0
    key_charged: bool = False
    """Whether the key that is remembered has charged."""
    voided: bool = False
    """Whether the key that is remembered was voided."""
    voids: bool = False
    refunded: str = ""
    """What the refund's key is answered with."""
    refunds: int = 0


Answers = Iterator[tuple[str, Ledger]]


def charge(ledger: Ledger, *, errors: bool) -> Answers:
    """Yield every answer that a charge may get, with the ledger afterwards."""
    if ledger.answered:
        yield ledger.answered, ledger
    elif ledger.voided:
        yield "voided", ledger
    else:
        charged = ledger._replace(charges=ledger.charges + 1, key_charged=True)
        yield "charged", charged._replace(answered="charged")
        yield "declined", ledger._replace(answered="declined")
        if errors:
            yield "lost", ledger._replace(answered="error")
            yield "lost", charged._replace(answered="error")


def void(ledger: Ledger, *, errors: bool) -> Answers:
    """Yield the answer to a void under the charge's key; a charge that was given back counts as voided."""
    if ledger.key_charged:
        yield _charge_of(ledger), ledger
    else:
        yield "voided", ledger._replace(voided=True, voids=True)


def refund(ledger: Ledger, *, errors: bool) -> Answers:
    """Yield the answer to a refund of the whole charge."""
    if ledger.refunded:
        yield ledger.refunded, ledger
    elif ledger.refunds < ledger.charges:
        paid = ledger._replace(refunds=ledger.refunds + 1)
        yield "refunded", paid._replace(refunded="refunded")
        if errors:
            yield "lost", ledger._replace(refunded="error")
            yield "lost", paid._replace(refunded="error")
    else:
        yield "exceeds_charge", ledger


def find_charge(ledger: Ledger, *, errors: bool) -> Answers:
    """Yield what the ledger shows of a charge: one counts before a void, and a decline leaves nothing."""
    yield (_charge_of(ledger) if ledger.charges else "voided" if ledger.voids else "nothing"), ledger


def _charge_of(ledger: Ledger) -> str:
    return "voided" if ledger.refunds else "charged"


def find_refund(ledger: Ledger, *, errors: bool) -> Answers:
    """Yield what the ledger shows of a refund."""
    yield ("refunded" if ledger.refunds else "nothing"), ledger


def forgotten(ledger: Ledger) -> Ledger:
    """Return the ledger of a provider that remembers no key any more."""
    return ledger._replace(answered="", key_charged=False, voided=False, refunded="")


CALLS = {
    "charge": charge,
    "void": void,
    "refund": refund,
    "find_charge": find_charge,
    "find_refund": find_refund,
}


class _Contact:
    email = "ann@shop.test"


# What an answer is to the worker, in the words of the provider's port, the mail server and the addresses.
ANSWERS = {
    "charged": provider.Charged("ch_1"),
    "declined": provider.Declined("card_declined"),
    "voided": provider.Voided(),
    "refunded": provider.Refunded("re_1"),
    "nothing": None,
    "sent": None,
    "refused": "550 no such user",
    "known": _Contact(),
}
FAILURES = {"lost": Unavailable, "error": OutcomeUnknown, "exceeds_charge": NeedsAttention}


class Asks(BaseException):
    """Carry out of an attempt what it asks the outside next. Nobody but the model may catch it."""


class PutOff(NamedTuple):
    """An attempt that settled nothing: its row is due again."""

    look_up_only: bool


def attempt(task: Task, state: Any, event: Any, tried: Tried, answers: Sequence[str]) -> Command | PutOff | str | None:
    """Make the worker's real attempt with these answers from outside.

    Return the command that comes of it, None where nothing is left to do, PutOff, or the name of what it asks next.
    Raises NeedsAttention as the attempt does.
    """
    with _answering(iter(answers)):
        try:
            return task.attempt(state, event, tried)
        except Asks as asks:
            return str(asks)
        except Unavailable as error:
            return PutOff(isinstance(error, OutcomeUnknown))


class _Outside:
    """Answer every question from a list, in the place of provider, mail server and addresses."""

    def __init__(self, answers: Iterator[str]) -> None:
        self.answers = answers

    def __getattr__(self, call: str) -> Any:
        return lambda *_: self.answer(call)

    def answer(self, call: str) -> Any:
        """Answer one question; raises what the port says, and Asks where no answer is left."""
        answer = next(self.answers, None)
        if answer in FAILURES:
            raise FAILURES[answer](answer)
        if answer in ANSWERS:
            return ANSWERS[answer]
        raise Asks(call)


@contextmanager
def _answering(answers: Iterator[str]) -> Iterator[None]:
    outside = _Outside(answers)
    with ExitStack() as patched:
        for module, name, stand_in in (
            (asking, "chosen", lambda: outside),
            (asking, "guarded", lambda _: nullcontext()),
            (asking, "twice", lambda call: call()),
            (mailer, "send", lambda *_: outside.answer("send")),
            (rows, "load", lambda *_, **__: filter(None, [outside.answer("address")])),
        ):
            patched.enter_context(patch.object(module, name, stand_in))
        yield
