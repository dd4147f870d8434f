"""Handlers of the other side's events: one for each aggregate of the mapping that has `[aggregates.….apply]`.

`manage.py consume` finds them by the module's name. The mapping is the file that WAYBILL['MAPPING'] names; without it
nothing is applied.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from waybill.application import application, event_classes
from waybill.consumer.message import Message
from waybill.contracts.event import Event
from waybill.deciders.outcomes import ConsumerStopped
from waybill.inbox import on
from waybill.migrate.applying.applied import Received, apply
from waybill.migrate.applying.receiving import Receiving, receiving
from waybill.migrate.mapping import document
from waybill.migrate.mapping.document import Aggregate, Mapped, MappingError


class Applier:
    """Applies the events of one kind of aggregate."""

    def __init__(self, aggregate: Aggregate, mapped: Mapped, service: str) -> None:
        """Read nothing yet: the tables may be made later than this process starts. `service` is this side's name."""
        self.aggregate, self.mapped, self.service = aggregate, mapped, service
        self._receiving: Receiving | None = None

    def __call__(self, batch: Sequence[tuple[Event, Message]]) -> None:
        """Write what the events say that are not this side's own."""
        received = [Received(event, message.version) for event, message in batch if not self._is_own(message)]
        if not received:
            return
        try:
            apply(self._ready(), received)
        except Exception:
            self._receiving = None  # the tables may be other ones by now
            raise

    def _is_own(self, message: Message) -> bool:
        return message.headers.get("ce_source", "").rpartition("/")[2] == self.service

    def _ready(self) -> Receiving:
        if self._receiving is None:
            try:
                with connection.cursor() as cursor:
                    self._receiving = receiving(self.aggregate, self.mapped, cursor)
            except MappingError as error:
                raise ConsumerStopped(str(error)) from error
        return self._receiving


def appliers(mapped: Mapped, service: str) -> Iterator[tuple[type[Event], Applier]]:
    """Yield what applies each event of the aggregates that this side applies. Raises ImproperlyConfigured."""
    for aggregate in mapped.aggregates.values():
        if aggregate.apply is None:
            continue
        applier = Applier(aggregate, mapped, service)
        for name in (aggregate.event, *([aggregate.deleted.event] if aggregate.deleted else [])):
            event = event_classes().get(name)
            if event is None:
                raise ImproperlyConfigured(f"{aggregate.name}: there is no event {name}")
            yield event, applier


def _register() -> None:
    path = getattr(settings, "WAYBILL", {}).get("MAPPING")
    if path is None:
        return
    try:
        mapped = document.load(Path(path))
    except MappingError as error:
        raise ImproperlyConfigured(f"WAYBILL['MAPPING']: {error}") from error
    for event, applier in appliers(mapped, application().own_service):
        on(event, batched=True)(applier)


_register()
