"""`append()`: events of models that are there already, in the transaction that changes them.

    with transaction.atomic():
        booking.save()
        append(BookingMade(booking_id=booking.pk, guests=2), aggregate=booking)

The version within the aggregate is given here: one more than the last, without holes, in the order of commits. First an
advisory lock on the aggregate is taken, so that the project need not lock anything itself; it is held until the
transaction ends. Only then is the last version read, in a statement of its own: one statement for both would read a
snapshot from before the lock. PostgreSQL gives the position in the outbox after the lock too, so it rises with the
version, which is all that the relay needs.

The aggregates of one call are locked in sorted sequence, whatever sequence the events are given in. Two transactions
that append to the same aggregates by several calls, in opposite sequences, can deadlock as they can on rows of their
own; PostgreSQL ends one of them, which the project retries as a whole.

In REPEATABLE READ and SERIALIZABLE the snapshot is older than the lock. Where somebody else has appended since, the
append is refused; the transaction is retried like one that could not be serialized.

The events of one transaction have one correlation id: that of the event that a handler acts on, or else a new one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.db import IntegrityError, connections, router, transaction
from django.db.models import Model

from waybill.contracts.event import Event
from waybill.database.sqlstate import is_taken_version
from waybill.observability import telemetry
from waybill.outbox.models import OutboxEvent
from waybill.outbox.outbox import Appended, AppendRefused, refuse_without_transaction, write

Aggregate = tuple[str, str]  # type and id

# Both arrays are in the sequence in which every session takes these locks.
LOCK: Final = """
SELECT pg_advisory_xact_lock(hashtextextended(aggregate_type || ' ' || aggregate_id, 0))
FROM unnest(%s::text[], %s::text[]) AS wanted (aggregate_type, aggregate_id)
"""
# A partitioned log keeps the last version apart, also of an aggregate whose events are all archived.
LAST: Final = """
SELECT aggregate_type, aggregate_id, coalesce((
    SELECT version FROM waybill_aggregate_version AS known
    WHERE known.aggregate_id = wanted.aggregate_id AND known.aggregate_type = wanted.aggregate_type), (
    SELECT aggregate_version FROM waybill_outbox
    WHERE waybill_outbox.aggregate_type = wanted.aggregate_type AND waybill_outbox.aggregate_id = wanted.aggregate_id
    ORDER BY aggregate_version DESC LIMIT 1), 0)
FROM unnest(%s::text[], %s::text[]) AS wanted (aggregate_type, aggregate_id)
"""


def append(*events: Event, aggregate: Model | None = None, using: str | None = None) -> list[Appended]:
    """Append events to the outbox, in the open transaction of the database that the aggregate was saved to.

    `aggregate` is the saved model instance that the events are about: its key must be theirs. `using` names another
    database; without both, the router says where `waybill.outbox` is written. Returns the events with version and id.

    Raises:
        AppendRefused: No transaction is open, an event is about another aggregate or too large for its topic, or
            synchronous_commit is off.
        UnwritableEvent: A field is of the wrong type, or out of the range of its Avro type.

    """
    where = using or _database_of(aggregate)
    _refuse_other_aggregates(events, aggregate)
    refuse_without_transaction(where)
    cause = telemetry.known() or _cause_of_transaction(where)
    return append_caused([(event, cause) for event in events], where)


def append_caused(
    caused: Sequence[tuple[Event, telemetry.Cause]], using: str, *, after: Mapping[Aggregate, int] | None = None
) -> list[Appended]:
    """Append events that have each its own cause; otherwise as `append`, and raises as it does.

    `after`: the last version of an aggregate that another outbox had before; this one goes on behind it.
    """
    refuse_without_transaction(using)
    versions = _lock_and_read_versions([event for event, _ in caused], using)
    for identity, version in (after or {}).items():
        versions[identity] = max(versions[identity], version)
    appended: list[Appended] = []
    for event, cause in caused:
        identity = (event.aggregate_type, event.aggregate_id)
        versions[identity] += 1
        appended.append(Appended(event, versions[identity], cause))
    try:
        write(appended, using)
    except IntegrityError as error:
        if not is_taken_version(error):
            raise
        raise AppendRefused(
            "somebody else has appended since this transaction's snapshot; retry the transaction"
        ) from error
    return appended


class _Begun:
    """Hold the cause that all appends of one transaction share; Django forgets it when the transaction ends."""

    def __init__(self) -> None:
        self.cause = telemetry.current()

    def __call__(self) -> None:
        """Do nothing at the commit."""


def _cause_of_transaction(using: str) -> telemetry.Cause:
    callbacks = (callback for _, callback, *_ in connections[using].run_on_commit)
    begun = next((one for one in callbacks if isinstance(one, _Begun)), None)
    if begun is None:
        begun = _Begun()
        transaction.on_commit(begun, using)
    return begun.cause


def _database_of(aggregate: Model | None) -> str:
    return (aggregate._state.db if aggregate is not None else None) or router.db_for_write(OutboxEvent)  # noqa: SLF001


def _refuse_other_aggregates(events: Iterable[Event], aggregate: Model | None) -> None:
    if aggregate is None:
        return
    if aggregate.pk is None:
        raise AppendRefused(f"{aggregate!r} has no primary key yet: save it before its event is appended")
    for event in events:
        if event.aggregate_id != str(aggregate.pk):
            raise AppendRefused(f"{event!r} is about {event.aggregate_id}, and the aggregate given is {aggregate.pk}")


def _lock_and_read_versions(events: Iterable[Event], using: str) -> dict[Aggregate, int]:
    wanted = sorted({(event.aggregate_type, event.aggregate_id) for event in events})
    arrays: list[Any] = [[kind for kind, _ in wanted], [key for _, key in wanted]]
    with connections[using].cursor() as cursor:
        cursor.execute(LOCK, arrays)
        cursor.execute(LAST, arrays)
        return {(kind, key): version for kind, key, version in cursor.fetchall()}
