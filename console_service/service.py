"""The console as a subscriber: it notes every event of every topic, a batch at a time."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from console_service.read_model import housekeeping, noting
from console_service.read_model.fold import Note
from waybill.application import event_classes
from waybill.consumer.message import Message
from waybill.contracts.event import Event


class Reader:
    """Wants every event that is on a topic."""

    name: Final = "console_service"

    @cached_property
    def tables(self) -> Mapping[str, Any]:
        """Return nothing: no row here is an aggregate's."""
        return {}

    @cached_property
    def reaction_to(self) -> Mapping[str, tuple[type[Event], Any]]:
        """Return event type → (event class, what becomes of it), of all that are published."""
        return {name: (kind, Note) for name, kind in event_classes().items() if kind.topic}

    @cached_property
    def topics(self) -> Sequence[str]:
        """Return every topic."""
        return sorted({kind.topic for kind, _ in self.reaction_to.values() if kind.topic})

    def react(self, event: Event, message: Message) -> Note:
        """Return what is noted of the event."""
        return Note.of(event, message)

    def apply(self, follows: Sequence[Note]) -> None:
        """Write a batch, in the transaction that notes it as received."""
        noting.note(follows)

    def clean(self, at_most: int) -> Mapping[str, int]:
        """Remove what is older than it is kept, so many rows of each kind; returns how many."""
        return housekeeping.forget(at_most)


service = Reader()
