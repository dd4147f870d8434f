"""Who the messages of a consumer group are for: a service with its reactions, or a project with its handlers."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from waybill.consumer.message import Message
from waybill.contracts.event import Event


class Subscriber(Protocol):
    """What the consumer needs to know of them."""

    @property
    def name(self) -> str:
        """Return the name of the consumer group."""
        ...

    @cached_property
    def topics(self) -> Sequence[str]:
        """Return the topics to consume."""
        ...

    @cached_property
    def tables(self) -> Mapping[str, Any]:
        """Return aggregate type → Django model of its rows; empty where nothing is decided."""
        ...

    @cached_property
    def reaction_to(self) -> Mapping[str, tuple[type[Event], Any]]:
        """Return event type → (event class, what is called); messages of other types are passed by their headers."""
        ...

    def react(self, event: Event, message: Message) -> Any:
        """Return the command or copy that follows from the event, or None where nothing is left to do.

        Called in the transaction that notes the message as received, and again where that is rolled back.
        """
        ...


@runtime_checkable
class BatchSubscriber(Subscriber, Protocol):
    """Who does some of it once a batch."""

    def finish(self, follows: Sequence[Any]) -> None:
        """Do what `react` returned for the messages of a batch, in their sequence and in their transaction.

        Called again with fewer of them where the batch fails and is gone through one by one.
        """
        ...


@runtime_checkable
class SetSubscriber(Subscriber, Protocol):
    """Who writes a whole batch at once, in place of message by message.

    For what is only read: its records are gathered for a quarter of a second, so that there are batches.
    """

    def apply(self, follows: Sequence[Any]) -> None:
        """Write what `react` returned for the messages of a batch, in their sequence and in their transaction.

        Called again with fewer of them where the batch fails and is gone through one by one.
        """
        ...

    def clean(self, at_most: int) -> Mapping[str, int]:
        """Remove what is older than it is kept, so many rows of each kind; returns how many of each."""
        ...
