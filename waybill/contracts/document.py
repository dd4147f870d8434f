"""Writes docs/events.md: what a subscriber reads before the first line of code."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from waybill.contracts.contracts import Contract, by_event
from waybill.contracts.fields import NO_DEFAULT, Array, Field, FieldType, Nullable, Record, Scalar, read_record

# What holds on every topic, for whoever documents one.
SEQUENCE: Final = """\
Events about one aggregate are in one partition, in the order of their versions (`ce_sequence`). Nothing else is
ordered. A record may come more than once: `ce_id` is the event's. Operators may send history again: such a record has
`ce_replayid`, stands behind newer versions, and where it has `ce_replaytarget` is for that consumer group only.
"""
FORMAT: Final = """\
A record's key is the id of the aggregate it happened to. Its value is the Confluent frame (a zero byte and the schema's
id in the registry, 4 bytes, big-endian) and Avro binary. Every version of an event can be read with the schema of every
other version. Amounts are integers in minor units. No event holds personal data.
"""
_HEAD: Final = f"""\
# Events

Generated from the `.avsc` files by `python -m waybill contracts generate`; do not edit.

One folder of `schemas/` is a topic, one file a version of an event; [contracts.md](contracts.md) tells how they change.
The registry's subject is topic and record name: `<topic>-<event type>`. A field or event that says **Deprecated** goes
on as it was.

{FORMAT}
{SEQUENCE}
[relay.md](relay.md#what-a-record-looks-like) has all headers.
"""


def document(contracts: Sequence[Contract]) -> str:
    """Give the text of the document on the current version of each event, topic by topic; private events last."""
    current = [versions[-1] for versions in by_event(contracts).values()]
    current.sort(key=lambda contract: (contract.topic is None, contract.source))
    parts = [_HEAD]
    for folder, events in groupby(current, key=lambda contract: contract.source.partition("/")[0]):
        parts.extend(_topic(folder, list(events)))
    return "\n".join(parts)


def _topic(folder: str, events: Iterable[Contract]) -> Iterator[str]:
    first, *_ = events = list(events)
    yield f"## {folder if first.topic else f'{folder}: kept in the outbox, never published'}\n"
    yield f"Aggregate `{first.schema['aggregate']}`, key `{first.schema['key']}`.\n"
    for event in events:
        record = read_record(event.schema)
        yield f"### {event.name} (v{event.version})\n"
        yield f"{record.doc}{_deprecated(record)}\n"
        yield "| Field | Type | Meaning |\n|---|---|---|"
        yield "\n".join(_rows(record)) + "\n"


def _rows(record: Record) -> Iterator[str]:
    for path, field in flatten(record):
        name = ".".join(f"`{one}`" for one in path)
        yield f"| {name} | {type_text(field)} | {field.doc}{_deprecated(field)} |"


def flatten(record: Record, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Field]]:
    """Yield every field with the names that lead to it; those of a record within it come after it."""
    for field in record.fields:
        path = (*above, field.name)
        yield path, field
        match field.type:
            case Array(Record() as inner) | (Record() as inner):
                yield from flatten(inner, path)
            case _:
                pass


def type_text(field: Field) -> str:
    """Say the type of a field in words, with its default where it has one."""
    default = "" if field.default is NO_DEFAULT else f", default {field.default!r}".replace("None", "null")
    return f"{_text(field.type)}{default}"


def _deprecated(part: Record | Field) -> str:
    return f" **Deprecated.** {part.deprecated}" if part.deprecated else ""


def _text(kind: FieldType) -> str:
    match kind:
        case Scalar(name):
            return name
        case Array(items):
            return f"array of {_text(items)}"
        case Nullable(of):
            return f"{_text(of)} or null"
        case Record():
            return kind.name
