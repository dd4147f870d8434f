"""A record of a topic: the exact bytes that came, and what is read from them.

Anybody may write anything to a topic. What is read here for people, logs and the database is printable text without
NUL or surrogates, of bounded length; the bytes are kept beside it, so that nothing is lost by that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from uuid import UUID

from waybill.deciders.outcomes import Unreadable

KEY_CHARACTERS = 200  # of a key as it is shown and indexed; a longer one is told apart by its hash
SHOWN_CHARACTERS = 100  # of a value that an error names
VERSION = re.compile("[1-9][0-9]{0,8}")  # fits the column, which has room for 2,147,483,647

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Message:
    """A record as it came from a topic."""

    topic: str
    partition: int
    offset: int
    raw_key: bytes | None
    raw_headers: Headers
    value: bytes | None
    timestamp_ms: int
    unreadable: str = ""
    """Why the client gave no headers, where it could not read them."""

    @cached_property
    def key(self) -> str:
        """Return the key as text, another one for every other key; empty for an empty or absent key.

        One that is not short, printable UTF-8 is shown escaped and cut, with its hash behind.
        """
        if not self.raw_key:
            return ""
        text = readable(self.raw_key)
        if text.encode() == self.raw_key and len(text) <= KEY_CHARACTERS:
            return text
        return f"{cut(text, KEY_CHARACTERS)}#{sha256(self.raw_key).hexdigest()}"

    @cached_property
    def headers(self) -> dict[str, str]:
        """Return the headers as readable text; of a repeated name the last one, of one without a value nothing."""
        return {name: "" if value is None else readable(value) for name, value in self.raw_headers}

    @property
    def event_type(self) -> str | None:
        """Return the event's Avro full name; None where the header is not there, or empty."""
        return self.headers.get("ce_type") or None

    @cached_property
    def event_id(self) -> str:
        """Return the event's id; raises Unreadable where the header is missing or no UUID."""
        if self.unreadable:
            raise Unreadable(self.unreadable)
        given = self.headers.get("ce_id", "")
        try:
            return str(UUID(given))
        except ValueError:
            raise Unreadable(f"header ce_id is {cut(given, SHOWN_CHARACTERS)!r}, not a UUID") from None

    @cached_property
    def inbox_id(self) -> str:
        """Return what the inbox knows the message by: the event's id, and the replay's if that wants it handled again.

        Raises Unreadable as `event_id` does.
        """
        if self.headers.get("ce_replayreprocess") != "true":
            return self.event_id
        try:
            return f"{self.event_id}:{UUID(self.headers.get('ce_replayid', '')).hex}"
        except ValueError:
            raise Unreadable("header ce_replayreprocess without a replay's id in ce_replayid") from None

    @property
    def version(self) -> int:
        """Return the version that the event gave its aggregate; raises Unreadable where the header has none."""
        given = self.headers.get("ce_sequence", "")
        if not VERSION.fullmatch(given):
            raise Unreadable(f"header ce_sequence is {cut(given, SHOWN_CHARACTERS)!r}, not an aggregate's version")
        return int(given)

    @cached_property
    def digest(self) -> str:
        """Return what tells this record from every other, also from one at its offset of a topic that was made anew."""
        parts = (self.place, self.timestamp_ms, self.raw_key, self.raw_headers, self.value)
        return sha256(repr(parts).encode()).hexdigest()[:32]

    def received_as(self, consumer: str) -> str:
        """Return what its row in the inbox is known by, also where nobody can read its event's id."""
        try:
            return f"{consumer}:{self.inbox_id}"
        except Unreadable:
            return f"{consumer}:{self.digest}"

    def is_for(self, consumer: str) -> bool:
        """Say whether the record is for this consumer group; a replay may name one."""
        return self.headers.get("ce_replaytarget", consumer) == consumer

    @property
    def place(self) -> str:
        """Return topic, partition and offset, for logs and operators."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def readable(given: bytes | str) -> str:
    r"""Return text that every terminal, log and database takes: what is no UTF-8 or not printable becomes `\x00`."""
    text = given.decode(errors="backslashreplace") if isinstance(given, bytes) else given
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def cut(text: str, characters: int) -> str:
    """Return the text's begin, marked where something was cut off."""
    return text if len(text) <= characters else text[:characters] + "…"
