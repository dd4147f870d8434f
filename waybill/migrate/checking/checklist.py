"""The whole list, in the sequence in which its lines can be settled."""

from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.db import router

from waybill.migrate.checking import database, programs, project, requests
from waybill.migrate.checking.items import Item
from waybill.migrate.mapping import document
from waybill.migrate.mapping.document import Mapped, MappingError


def look(mapping: Path, health: str | None, metrics: str | None) -> Iterator[Item]:
    """Yield every line. What needs the outbox is left out until it is there. Raises what the database raises."""
    yield from requests.look(health, metrics)
    yield from project.look(mapping)
    if not all(apps.is_installed(name) for name in project.NEEDED):
        return
    from waybill.outbox.models import OutboxEvent

    using, mapped = router.db_for_write(OutboxEvent), _mapped(mapping)
    found = list(database.look(using, mapped))
    yield from found
    if not any(one.name == "migrations" and one.ok is False for one in found):
        yield from programs.look(using, mapped)


def _mapped(path: Path) -> Mapped | None:
    try:
        return document.load(path)
    except MappingError:
        return None  # said already
