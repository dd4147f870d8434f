"""The event classes. Generated from the `.avsc` files: change those, then `python -m waybill contracts generate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self
from uuid import UUID

from waybill.contracts.event import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class MailRequested(Event):
    """A mail is to be sent."""

    topic: ClassVar[str | None] = "shop.mails.v1"
    aggregate_type: ClassVar[str] = "mail"
    event_type: ClassVar[str] = "shop.MailRequested"
    schema_version: ClassVar[int] = 1

    mail_id: UUID
    """The mail."""
    sender: str
    """Address that the mail server is told as the sender."""
    recipients: tuple[str, ...]
    """Addresses that it goes to, hidden ones too."""
    content: str
    """The mail with its headers and attachments, as seven-bit text (RFC 5322)."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.mail_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "mail_id": self.mail_id,
            "sender": self.sender,
            "recipients": list(self.recipients),
            "content": self.content,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            mail_id=datum["mail_id"],
            sender=datum["sender"],
            recipients=tuple(datum["recipients"]),
            content=datum["content"],
        )


EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "shop.MailRequested": MailRequested,
    }
)
"""The current class of each event, by Avro full name."""

SOURCES: Mapping[tuple[str, int], str] = MappingProxyType(
    {
        ("shop.MailRequested", 1): "shop.mails.v1/MailRequested.v1.avsc",
    }
)
"""The file of each version of each event, below the folder of the schemas."""
