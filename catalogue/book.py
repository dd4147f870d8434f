"""What the catalogue tells: every topic, its events in all their versions, who writes them and who reacts.

Nothing is declared here. Events and fields come from the `.avsc` files, partitions and retention from
`topics.toml`, who writes and who reacts from the services' plans, and what a service is from its own first line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Final

import catalogue.configured  # noqa: F401 # pyright: ignore[reportUnusedImport] - the services' rows want Django
from devstack import services
from waybill.contracts.contracts import Contract, by_event, load
from waybill.contracts.document import flatten, type_text
from waybill.contracts.fields import Field, Record, read_record
from waybill.contracts.topics import Topic, topics
from waybill.deciders.service import Service, command_of

SERVICES: Final = tuple(service.package for service in services.SERVICES.values())


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A service of ours that reacts to an event: to which command it leads, and its line in the saga's table."""

    service: str
    command: str
    says: str


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an event, and what became different in it."""

    contract: Contract
    record: Record
    changes: tuple[str, ...]

    @property
    def number(self) -> int:
        """Give the version's number."""
        return self.contract.version

    @property
    def name(self) -> str:
        """Give the name that no other version has."""
        return f"{self.contract.name}.v{self.contract.version}"


@dataclass(frozen=True, slots=True)
class Event:
    """A public event: its versions, oldest first, and who reacts to it."""

    versions: tuple[Version, ...]
    subscribers: tuple[Subscriber, ...]

    @property
    def current(self) -> Version:
        """Give the version that is written today."""
        return self.versions[-1]

    @property
    def name(self) -> str:
        """Give the event's name without its namespace."""
        return self.current.contract.name


@dataclass(frozen=True, slots=True)
class Chapter:
    """A topic, the service or the other team's project that writes it, and its events."""

    topic: Topic
    producer: str
    events: tuple[Event, ...]

    @property
    def aggregates(self) -> dict[str, str]:
        """Give the kinds of aggregates that its events are about, and the field that is the record's key."""
        return {
            event.current.contract.schema["aggregate"]: event.current.contract.schema["key"] for event in self.events
        }


@dataclass(frozen=True, slots=True)
class Book:
    """All of it, in the sequence of `topics.toml`."""

    chapters: tuple[Chapter, ...]

    def written_by(self, service: str) -> Iterator[Chapter]:
        """Yield the topics that a service writes."""
        return (chapter for chapter in self.chapters if chapter.producer == service)

    def read_by(self, service: str) -> Iterator[tuple[Chapter, tuple[Event, ...]]]:
        """Yield the topics that a service consumes, with the events it reacts to."""
        for chapter in self.chapters:
            events = tuple(e for e in chapter.events if any(one.service == service for one in e.subscribers))
            if events:
                yield chapter, events


@cache
def plan(service: str) -> Service:
    """Load the plan of a service."""
    return import_module(f"{service}.service").service


def says(service: str) -> str:
    """Give the first line of a service's own description."""
    return (import_module(service).__doc__ or "").splitlines()[0]


def read() -> Book:
    """Put the book together.

    Raises:
        ContractError: An `.avsc` file breaks a rule.
        ValueError: A topic has no service that writes it.

    """
    grouped = by_event(load())
    return Book(tuple(_chapter(topic, grouped) for topic in topics()))


def _chapter(topic: Topic, grouped: dict[str, list[Contract]]) -> Chapter:
    of_topic = [versions for versions in grouped.values() if versions[-1].topic == topic.name]
    events = tuple(Event(tuple(_versions(versions)), tuple(_subscribers(versions[-1]))) for versions in of_topic)
    if topic.written_by:
        return Chapter(topic, topic.written_by, events)
    kinds = {versions[-1].schema["aggregate"] for versions in of_topic}
    producers = [service for service in SERVICES if kinds & plan(service).tables.keys()]
    if len(producers) != 1:
        raise ValueError(f"{topic.name} is written by {producers or 'nobody'}; a topic has one service that writes it")
    return Chapter(topic, producers[0], events)


def _subscribers(contract: Contract) -> Iterator[Subscriber]:
    for service in SERVICES:
        _, reaction = plan(service).reaction_to.get(contract.event_type, (None, None))
        if reaction is not None:
            yield Subscriber(service, command_of(reaction).__name__, (reaction.__doc__ or "").splitlines()[0])


def _versions(contracts: list[Contract]) -> Iterator[Version]:
    before: Contract | None = None
    for contract in contracts:
        changes = tuple(changed(before, contract)) if before else ()
        yield Version(contract, read_record(contract.schema), changes)
        before = contract


def changed(before: Contract, after: Contract) -> Iterator[str]:
    """Say what differs between two versions of an event, a sentence each."""
    old, new = read_record(before.schema), read_record(after.schema)
    if old.doc != new.doc:
        yield f"Its meaning is described differently; before: {old.doc}"
    if new.deprecated and not old.deprecated:
        yield f"Deprecated. {new.deprecated}"
    was, now = _by_path(old), _by_path(new)
    for name, field in now.items():
        if name not in was:
            yield f"Added {name} ({type_text(field)}): {field.doc}"
        else:
            yield from _changed_field(name, was[name], field)
    for name in was.keys() - now.keys():
        yield f"Left out {name}."


def _changed_field(name: str, was: Field, field: Field) -> Iterator[str]:
    if type_text(was) != type_text(field):
        yield f"{name} is {type_text(field)}; before: {type_text(was)}."
    if was.doc != field.doc:
        yield f"{name} is described differently; before: {was.doc}"
    if field.deprecated and not was.deprecated:
        yield f"{name} is deprecated. {field.deprecated}"


def _by_path(record: Record) -> dict[str, Field]:
    return {".".join(path): field for path, field in flatten(record)}
