"""Handlers: plain functions that a project calls for the events of others, each event once.

    # loyalty/handlers.py, found by its name in every installed app
    @on(BookingMade)
    def grant_points(event: BookingMade, message: Message) -> None:
        Account.objects.filter(guest=event.guest_id).update(points=F("points") + 10)

What a handler writes to the inbox's database and the inbox row commit together. A handler may be called again for an
event whose transaction was rolled back: because it raised itself, because another message of its batch did, or because
the database was away. So what it does elsewhere (a mail, a request) may happen twice.

A handler that raises is retried; then its message becomes a dead letter with the reason, and later messages of the same
key wait behind it, in their sequence. All others go on. `manage.py redrive` handles them once the cause is fixed. What
the database raises while it is away or overloaded counts against no message: the consumer waits and tries again. A
handler that knows of such a reason itself raises `waybill.deciders.outcomes.Unavailable`.

Who writes many rows writes them at once: `@on(BookingMade, batched=True)` is called with all of a batch, in sequence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules

from waybill.consumer.message import Message
from waybill.contracts.event import Event
from waybill.observability.telemetry import Cause, caused_by

MODULE: Final = "handlers"

Handler = Callable[[Any, Message], None]
BatchHandler = Callable[[Sequence[tuple[Any, Message]]], None]
Marked = TypeVar("Marked", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class Batched:
    """A handler that is called once a batch, after the handlers of each message."""

    handler: BatchHandler


_marked: list[tuple[type[Event], Handler | Batched]] = []


def on(event: type[Event], *, batched: bool = False) -> Callable[[Marked], Marked]:
    """Mark a function as a handler of an event; one event may have several, called in the order of the apps.

    `batched`: it is called once for all that a batch has for it, with a list of event and message, and not for each. A
    batch that fails comes again message by message, each a list of one.
    """

    def mark(handler: Marked) -> Marked:
        if event.topic is None:
            raise ImproperlyConfigured(f"{handler.__qualname__}: {event.__name__} is private, and on no topic")
        _marked.append((event, Batched(handler) if batched else handler))
        return handler

    return mark


@dataclass(frozen=True)
class Handlers:
    """The handlers of a project, as the subscriber of a consumer group."""

    name: str
    marked: Sequence[tuple[type[Event], Handler | Batched]]

    @cached_property
    def tables(self) -> Mapping[str, Any]:
        """Return nothing: a project's rows are its own."""
        return {}

    @cached_property
    def reaction_to(self) -> Mapping[str, tuple[type[Event], Sequence[Handler | Batched]]]:
        """Return event type → (event class, handlers)."""
        found: dict[str, tuple[type[Event], list[Handler | Batched]]] = {}
        for event, handler in self.marked:
            found.setdefault(event.event_type, (event, []))[1].append(handler)
        return found

    @cached_property
    def topics(self) -> list[str]:
        """Return the topics to consume."""
        return sorted({event.topic for event, _ in self.marked if event.topic})

    def react(self, event: Event, message: Message) -> "list[Later] | None":
        """Call the event's handlers, in the transaction that is open; returns what is left for the end of the batch."""
        later: list[Later] = []
        with caused_by(Cause.of_event(message.event_id, message.headers)):
            for handler in self.reaction_to[event.event_type][1]:
                if isinstance(handler, Batched):
                    later.append((handler, event, message))
                else:
                    handler(event, message)
        return later or None

    def finish(self, follows: Sequence["list[Later]"]) -> None:
        """Call the handlers of a whole batch, in the transaction that is open."""
        given: dict[Batched, list[tuple[Event, Message]]] = {}
        for later in follows:
            for handler, event, message in later:
                given.setdefault(handler, []).append((event, message))
        for handler, batch in given.items():
            handler.handler(batch)


Later = tuple[Batched, Event, Message]


def discover(group: str) -> Handlers:
    """Import the module `handlers` of each installed app, and return what is marked there."""
    autodiscover_modules(MODULE)
    return Handlers(group, tuple(_marked))
