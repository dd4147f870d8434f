"""A handover from the first look to its record: what `cutover` and `cutback` do."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import psycopg
from django.db import DatabaseError, InterfaceError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from waybill.database.sqlstate import one_line
from waybill.migrate import verify
from waybill.migrate.mapping.building import Built
from waybill.migrate.ownership import checks, completing, rows, sequences, sides
from waybill.migrate.ownership.handover import GivenUp, Handover, Terms
from waybill.migrate.ownership.rows import Said

COMPLETE_SECONDS: Final = 10.0
AWAY: Final = (psycopg.Error, DatabaseError, InterfaceError)  # also Django's own session may be lost


class NotCompleted(Exception):
    """Given up here, and not yet taken by the other side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedOver:
    """How it went."""

    aggregate: str
    epoch: int
    hold_seconds: float
    """From the hold until the other side owned; of one that was completed later, until then."""
    verified: int = 0
    """Rows that were compared before writes were held."""
    rounds: int = 0
    """How often what had changed meanwhile was compared, before writes were held."""
    was_completed: bool = False
    """A killed command had given it up already."""


def hand_over(  # noqa: PLR0913 - the two sides, and what is asked for
    built: Built,
    using: str,
    url: str,
    terms: Terms,
    said: Said,
    *,
    is_stopping: Callable[[], bool] = lambda: False,
    told: Callable[[int, int], object] = lambda _done, _of: None,
    expected: int = 0,
) -> HandedOver:
    """Hand an aggregate's ownership to the other side, or complete what a killed command began.

    Raises:
        Refused: Something must be done first; nothing was begun.
        GivenUp: This side owns as before.
        NotCompleted: Nobody owns; `migrate run` or the same again completes it.

    """
    source = built.aggregate.name
    with ExitStack() as opened:
        here, lock = (opened.enter_context(sides.here(using)) for _ in range(2))
        sides.alone(lock.session, source)
        with here.session.cursor() as cursor:
            before = rows.read(cursor, source)
        if before.leaving:
            held = complete(built, using, url)
            return HandedOver(aggregate=source, epoch=before.epoch, hold_seconds=held or 0.0, was_completed=True)
        there = opened.enter_context(sides.there(url))
        epoch = checks.may_leave(built.aggregate, using, here, there, said.verb).epoch
        reading = opened.enter_context(verify.connected(url))
        handover = Handover(
            built=built, using=using, here=here, lock=lock, there=there, sides=verify.Sides(built, using, reading),
            terms=terms, said=said, is_stopping=is_stopping, told=told,
        )  # fmt: skip
        try:
            moment = handover.catch_up(expected)
            handover.give_up_ownership(epoch, moment)
        except GivenUp as error:
            _note(handover, epoch, str(error))
            raise
    complete(built, using, url)
    return HandedOver(
        aggregate=source, epoch=epoch + 1, hold_seconds=time.monotonic() - handover.began, verified=handover.verified,
        rounds=handover.rounds,
    )  # fmt: skip


def complete(built: Built, using: str, url: str, seconds: float = COMPLETE_SECONDS) -> float | None:
    """Let the other side take what was given up here; tries for so long. Raises NotCompleted."""
    pairs = list(sequences.counterparts(built.aggregate))
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type(AWAY), stop=stop_after_delay(seconds), wait=wait_fixed(0.05),
            reraise=True,
        ):  # fmt: skip
            with attempt, sides.here(using) as here, sides.there(url) as there:
                return completing.complete(here, there, built.aggregate.name, pairs)
    except (*AWAY, completing.NotTaken) as error:
        why = str(error) if isinstance(error, completing.NotTaken) else one_line(error)
        raise NotCompleted(
            f"{built.aggregate.name}: given up here and not taken there: {why}; `migrate run` completes it, or the same"
            " verb again"
        ) from error
    return None


def _note(handover: Handover, epoch: int, why: str) -> None:
    held = time.monotonic() - handover.began if handover.began else 0.0
    with handover.here.session.cursor() as cursor:
        rows.note(cursor, handover.source, epoch, handover.said, f"{rows.GIVEN_UP}: {why}", held)
