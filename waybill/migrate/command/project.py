"""What every verb has: exit codes, the mapping, the database, what was asked for."""

import argparse
import os
from pathlib import Path
from typing import Any, Final

DONE, FOUND, USAGE, DEPENDENCY_DOWN, INTERRUPTED = 0, 1, 2, 4, 130
EXITS: Final = "exit codes: 0 done, 1 something found or held, 2 usage, 4 dependency down, 130 interrupted"

DEFAULT: Final = "migrate.toml"


class Project:
    """What the verbs need: the mapping, the database, what was asked for."""

    def __init__(self, given: argparse.Namespace) -> None:
        """Read the mapping file. Raises MappingError."""
        from django.db import router

        from waybill.migrate.mapping import document
        from waybill.outbox.models import OutboxEvent

        self.given, self.using = given, router.db_for_write(OutboxEvent)
        self.path = mapping_of(given)
        self.mapped = document.load(self.path)
        unknown = sorted(set(given.aggregate) - self.mapped.aggregates.keys())
        if unknown:
            raise document.MappingError(f"{self.path}: there is no [aggregates.{unknown[0]}]")
        self.chosen = [self.mapped.aggregates[name] for name in given.aggregate or self.mapped.aggregates]

    def built(self, aggregate: Any) -> Any:
        """Return what reads one kind of aggregate. Raises MappingError."""
        from django.db import connections

        from waybill.migrate.mapping.building import build

        with connections[self.using].cursor() as cursor:
            return build(aggregate, self.mapped.namespace, cursor)


def mapping_of(given: argparse.Namespace) -> Path:
    """Return the mapping file that was asked for, or that the settings name."""
    from django.conf import settings

    return Path(given.mapping or getattr(settings, "WAYBILL", {}).get("MAPPING", DEFAULT))


def rows(project: Project, name: str) -> int:
    """Return about how many rows the table has."""
    from django.db import connections

    from waybill.migrate import tables

    with connections[project.using].cursor() as cursor:
        table = tables.read(cursor, name)
    return max(0, table.rows) if table else 0


def other_url(aggregate: Any) -> str:
    """Return the URL of the other side's database. Raises MappingError."""
    from waybill.migrate.mapping.document import MappingError

    service = aggregate.service
    if service is None:
        raise MappingError(f"{aggregate.name}: nothing says where it must have arrived: [aggregates.….service]")
    url = os.environ.get(service.url)
    if not url:
        raise MappingError(f"{aggregate.name}: {service.url} is not set: the URL of the service's database")
    return url
